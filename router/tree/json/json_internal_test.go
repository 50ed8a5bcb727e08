package json

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	jsonctx "github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is written by hand is what encoding/json writes.
func TestPacket_IsWrittenAsByTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOf(rapid.Byte())
		m := PacketJSON{
			Source:  append([]byte{}, bytes.Draw(t, "source")...),
			Dest:    [][]byte{},
			Message: append([]byte{}, bytes.Draw(t, "message")...),
		}

		var dest message.Players

		for range rapid.IntRange(0, 5).Draw(t, "destinations") {
			text := bytes.Draw(t, "destination")
			m.Dest = append(m.Dest, append([]byte{}, text...))
			dest = dest.With(nil, string(text))
		}

		want, err := json.Marshal(m)
		require.NoError(t, err)

		p := message.NewPacket(message.Player{Text: string(m.Source)}, dest, m.Message)
		require.Equal(t, string(want), string(appendPacket(p)))
	})
}

// What is read by hand is what encoding/json reads, and whatever a node writes is
// read by hand.
func TestScanPacket_ReadsWhatNodesWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := message.NewReader(names{}, message.MaxAddresses)

		var dest message.Players
		for i := range rapid.IntRange(0, 2*message.Few).Draw(t, "destinations") {
			dest = dest.With(nil, fmt.Sprint("F", i))
		}

		data := appendPacket(message.NewPacket(message.Player{Text: "O0"}, dest,
			rapid.SliceOf(rapid.Byte()).Draw(t, "message")))

		scanned, ok := scanPacket(r, data)
		require.True(t, ok)

		read, err := anyPacket(jsonctx.NewContext(), r, data)
		require.NoError(t, err)
		requireSame(t, read, scanned)
		require.Equal(t, dest.Texts, append([]string(nil), scanned.Players().Texts...))
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

	r := message.NewReader(names{}, 3)

	f.Fuzz(func(t *testing.T, data []byte) {
		scanned, ok := scanPacket(r, data)
		if !ok {
			return
		}

		read, err := anyPacket(jsonctx.NewContext(), r, data)
		require.NoError(t, err)
		requireSame(t, read, scanned)
	})
}

func TestFormats_MessageOfAnotherKindIsAnError(t *testing.T) {
	var none *types.Packet

	for _, msg := range []serde.Message{nil, none, types.Handshake{}} {
		_, err := packetFormat{}.Encode(jsonctx.NewContext(), msg)
		require.ErrorContains(t, err, "is no packet of the tree router")
	}

	for _, msg := range []serde.Message{nil, types.NewPacket(name("a"), nil)} {
		_, err := handshakeFormat{}.Encode(jsonctx.NewContext(), msg)
		require.ErrorContains(t, err, "is no handshake of the tree router")
	}
}

// Others may call an engine with their own address factory, which is checked as well.
func TestFormats_AddressFactoryIsThatOfTheContext(t *testing.T) {
	ctx := jsonctx.NewContext()
	with := serde.WithFactory(ctx, types.AddrKey{}, names{})

	for format, tt := range map[serde.FormatEngine]struct{ good, bad string }{
		packetFormat{}: {
			good: `{"Source":"QQ==","Dest":["Qg=="],"Message":""}`,
			bad:  `{"Source":"QQ==","Dest":[""],"Message":""}`,
		},
		handshakeFormat{}: {good: `{"Height":1,"Addresses":["Qg=="]}`, bad: `{"Height":1,"Addresses":[""]}`},
	} {
		_, err := format.Decode(ctx, []byte(tt.good))
		require.EqualError(t, err, "the context has no address factory")

		_, err = format.Decode(with, []byte(tt.bad))
		require.ErrorContains(t, err, "address is empty")

		msg, err := format.Decode(with, []byte(tt.good))
		require.NoError(t, err)

		data, err := format.Encode(with, msg)
		require.NoError(t, err)
		require.Equal(t, tt.good, string(data))
	}
}

// requireSame fails when two packets differ in more than what memory they use.
func requireSame(t require.TestingT, want, got *message.Packet) {
	require.Equal(t, want.Source(), got.Source())
	require.Equal(t, want.Players(), got.Players())
	require.Equal(t, string(want.Message()), string(got.Message()))
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
