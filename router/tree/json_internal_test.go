package tree

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	jsonctx "github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is written by hand is what encoding/json writes.
func TestPacket_IsWrittenAsByTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOf(rapid.Byte())
		m := packetJSON{
			Source:  append(base64Text{}, bytes.Draw(t, "source")...),
			Dest:    []base64Text{},
			Message: append(base64Text{}, bytes.Draw(t, "message")...),
		}
		p := &packet{sourceText: string(m.Source), message: m.Message}

		for range rapid.IntRange(0, 5).Draw(t, "destinations") {
			text := bytes.Draw(t, "destination")
			m.Dest = append(m.Dest, append(base64Text{}, text...))
			p.dest = p.dest.with(nil, string(text))
		}

		want, err := json.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, string(want), string(p.json()))
	})
}

// What is read by hand is what encoding/json reads, and whatever a node writes is
// read by hand.
func TestScanPacket_ReadsWhatNodesWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReader()
		p := &packet{sourceText: "O0", message: rapid.SliceOf(rapid.Byte()).Draw(t, "message")}

		for i := range rapid.IntRange(0, 2*fewPlayers).Draw(t, "destinations") {
			p.dest = p.dest.with(nil, fmt.Sprint("F", i))
		}

		scanned, ok := r.scanPacket(p.json())
		require.True(t, ok)

		read, err := r.anyPacket(jsonctx.NewContext(), p.json())
		require.NoError(t, err)
		requireSame(t, read.(*packet), scanned)
		require.Equal(t, p.dest.texts, append([]string(nil), scanned.dest.texts...))
	})
}

// Promise R3: whatever is read by hand is read by encoding/json, as the same.
func FuzzScanPacket(f *testing.F) {
	for _, text := range []string{
		`{"Source":"QQ==","Dest":["Qg==","Qw=="],"Message":"aGk="}`,
		`{"Source":"QQ==","Dest":["Qg==","Qg=="],"Message":""}`,
		`{"Source":"QQ==","Dest":[],"Message":"aGl="}`, // bits that belong to no byte
		`{"Source":"QQ==","Dest":[""],"Message":""}`,
		`{"Source":"","Dest":[],"Message":""}`,
		`{"Source":"QQ==","Dest":["Qg==",],"Message":""}`,
		`{"Source":"QQ==","Dest":["Qg=="]],"Message":""}`,
		`{"Source":"QQ==","Dest":["Qg==","Qw==","RA==","RQ=="],"Message":""}`,
		`{"Source":"QQ==","Dest":["Qg=="],"Message":""} `,
		"{\"Source\":\"QQ==\",\"Dest\":[],\"Message\":\"aG\nk=\"}",
		"{\"Source\":\"QQ==\",\"Dest\":[],\"Message\":\"aG\r\n\r\nk=\"}",
		`{"Source":"QQ==","Dest":[],"Message":"\/\/\/\/"}`,
		`{"Source":"QQ==","Dest":[],"Message":"////"}`,
	} {
		f.Add([]byte(text))
	}

	r := newReader()
	r.max = 3

	f.Fuzz(func(t *testing.T, data []byte) {
		scanned, ok := r.scanPacket(data)
		if !ok {
			return
		}

		read, err := r.anyPacket(jsonctx.NewContext(), data)
		require.NoError(t, err)
		requireSame(t, read.(*packet), scanned)
	})
}

// requireSame fails when two packets differ in more than what memory they use.
func requireSame(t require.TestingT, want, got *packet) {
	require.Equal(t, want.source, got.source)
	require.Equal(t, want.sourceText, got.sourceText)
	require.Equal(t, want.dest, got.dest)
	require.Equal(t, string(want.message), string(got.message))
}

// newReader returns a reader for addresses that are nothing but their text.
func newReader() *reader {
	return &reader{AddressFactory: names{}, max: DefaultMaxAddresses}
}

// name is an address that is nothing but its text.
type name string

func (n name) MarshalText() ([]byte, error)               { return []byte(n), nil }
func (n name) String() string                             { return string(n) }
func (n name) Equal(other mino.Address) bool              { return n == other }
func (n name) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// names makes them.
type names struct{ serde.Factory }

func (names) FromText(text []byte) mino.Address { return name(text) }
