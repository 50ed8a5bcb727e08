package existing

import (
	"encoding/hex"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The model must not repeat a mistake of the library, and so has nothing in common with it.
func TestModel_ImportsNothingOfOurs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)

	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}

		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)

		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			require.NotContains(t, path, "github.com/minogrpc", "%s imports it", file)
		}
	}
}

func TestProtobuf_HasTheBytesOfTheWire(t *testing.T) {
	tests := map[string]struct {
		data []byte
		want string
	}{
		"packet":    {encodePacket([]byte("hi")), "0a026869"},
		"ack":       {(&ack{errors: []string{"e1"}}).encode(), "0a026531"},
		"empty ack": {(&ack{}).encode(), ""},
		"message": {
			(&message{from: []byte("FAh:1"), payload: []byte("hi")}).encode(),
			"0a054641683a31" + "12026869",
		},
		"chain": {(&certificateChain{address: []byte("FB"), value: []byte{1}}).encode(), "0a024642" + "120101"},
		"join": {
			(&joinRequest{token: "t", chain: certificateChain{value: []byte{1}}}).encode(),
			"0a0174" + "1203120101",
		},
		"peers":       {encodePeers([]certificateChain{{value: []byte{1}}, {}}), "0a03120101" + "0a00"},
		"empty chain": {(&joinRequest{token: "t"}).encode(), "0a0174" + "1200"},
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, hex.EncodeToString(test.data))
		})
	}
}

func TestProtobuf_ReadsWhatItWrites(t *testing.T) {
	request := joinRequest{token: "t", chain: certificateChain{address: []byte("FAh:1"), value: []byte{1, 2}}}

	var again joinRequest

	require.NoError(t, again.decode(request.encode()))
	require.Equal(t, request, again)

	peers, err := decodePeers(encodePeers([]certificateChain{request.chain, request.chain}))
	require.NoError(t, err)
	require.Equal(t, []certificateChain{request.chain, request.chain}, peers)

	var answer message

	require.NoError(t, answer.decode((&message{from: []byte("f"), payload: []byte("p")}).encode()))
	require.Equal(t, message{from: []byte("f"), payload: []byte("p")}, answer)
}

// A node that does not know a field skips it, whatever its type.
func TestProtobuf_SkipsUnknownFields(t *testing.T) {
	data, err := hex.DecodeString("8201" + "0161" + // 16: bytes
		"0a026869" + // 1: bytes
		"8801" + "ac02" + // 17: a number
		"950101020304") // 18: four bytes

	require.NoError(t, err)

	serialized, err := decodePacket(data)
	require.NoError(t, err)
	require.Equal(t, "hi", string(serialized))
}

func TestProtobuf_RefusesWhatIsCutShort(t *testing.T) {
	_, err := decodePacket([]byte{0x0a, 0x05, 'h'})
	require.Error(t, err)

	require.ErrorIs(t, new(ack).decode([]byte{0x0a, 0x01, 0xff}), errUTF8)
}

// requireBytes compares byte by byte: others write the same JSON with the same order of keys.
func requireBytes(t *testing.T, want string, data []byte) {
	t.Helper()
	require.Equal(t, want, string(data))
}

func TestPacket_HasTheJSONOfTheWire(t *testing.T) {
	const want = `{"Source":"T0IxMjcuMC4wLjE6MjAwMA==",` +
		`"Dest":["RkIxMjcuMC4wLjE6MjAwMQ==","RkExMjcuMC4wLjE6MjAwMg=="],"Message":"aGVsbG8="}`

	p := newPacket("OB127.0.0.1:2000", []Address{"FB127.0.0.1:2001", "FA127.0.0.1:2002"}, []byte("hello"))

	data, err := p.encode()
	require.NoError(t, err)
	requireBytes(t, want, data)

	again, err := decodeJSONPacket(data)
	require.NoError(t, err)
	require.Equal(t, p, again)

	_, err = decodeJSONPacket([]byte("{"))
	require.ErrorContains(t, err, "packet malformed: ")
}

func TestHandshake_HasTheJSONOfTheWire(t *testing.T) {
	tests := map[string]struct {
		height  int
		players []Address
		want    string
	}{
		"with players": {
			2, []Address{"FB127.0.0.1:2001", "FA127.0.0.1:2002"},
			`{"Height":2,"Addresses":["RkIxMjcuMC4wLjE6MjAwMQ==","RkExMjcuMC4wLjE6MjAwMg=="]}`,
		},
		"without": {2, nil, `{"Height":2,"Addresses":[]}`},
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			data, err := newHandshake(test.height, test.players).encode()
			require.NoError(t, err)
			requireBytes(t, test.want, data)

			again, err := decodeHandshake(data)
			require.NoError(t, err)
			require.Equal(t, newHandshake(test.height, test.players), again)
		})
	}

	_, err := decodeHandshake([]byte("null"))
	require.ErrorContains(t, err, "handshake malformed: null")
}

func TestAddress_HasTheTextOfTheWire(t *testing.T) {
	me := newAddress("127.0.0.1:2000", true)

	require.Equal(t, Address("FB127.0.0.1:2000"), me)
	require.Equal(t, Address("OB127.0.0.1:2000"), me.Orchestrator())
	require.Equal(t, me, me.Orchestrator().Follower())
	require.Equal(t, "grpcs://127.0.0.1:2000", me.String())
	require.Equal(t, "Orchestrator:grpcs://127.0.0.1:2000", me.Orchestrator().String())
	require.Equal(t, "grpc://example.com:80", newAddress("example.com:80", false).String())
	require.Equal(t, "https://node.example.org:8443", Address("FCnode.example.org:8443").String())
	require.Empty(t, Address("F").Host())
}
