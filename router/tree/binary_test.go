package tree_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// goldenHeader is the header of the packet in packet.json, and emptyHeader that of
// the one in packet_empty.json.
const (
	goldenHeader = "\x01\x10OB127.0.0.1:2000\x02\x10FB127.0.0.1:2001\x10FA127.0.0.1:2002"
	emptyHeader  = "\x01\x10OB127.0.0.1:2000\x00"
)

// newFactory returns the factory of a router for session addresses.
func newFactory(options ...tree.RouterOption) router.BinaryPacketFactory {
	return newRouter(options...).GetPacketFactory().(router.BinaryPacketFactory)
}

// headerOf returns the header of a packet.
func headerOf(t require.TestingT, p router.Packet) string {
	header, err := p.(router.BinaryPacket).AppendHeader(nil)
	require.NoError(t, err)

	return string(header)
}

func TestAppendHeader_BytesAreThoseOfTheForm(t *testing.T) {
	for name, want := range map[string]string{"packet.json": goldenHeader, "packet_empty.json": emptyHeader} {
		p, err := newFactory().PacketOf(json.NewContext(), []byte(golden(t, name)))
		require.NoError(t, err)
		require.Equal(t, want, headerOf(t, p))

		extended, err := p.(router.BinaryPacket).AppendHeader([]byte("before"))
		require.NoError(t, err)
		require.Equal(t, "before"+want, string(extended))
	}

	require.Equal(t, "tree1", newFactory().BinaryFormat())
}

func TestAppendHeader_AddressThatCannotBeSentIsAnError(t *testing.T) {
	table, err := newRouter().New(nil, nil)
	require.NoError(t, err)

	good, bad := session.NewAddress("good:1"), session.Address{}

	for _, p := range []router.Packet{
		table.Make(bad, []mino.Address{good}, nil),
		table.Make(good, []mino.Address{good, bad}, nil),
		table.Make(good, []mino.Address{nil}, nil),
	} {
		b, err := p.(router.BinaryPacket).AppendHeader([]byte("before"))
		require.ErrorContains(t, err, "cannot be sent")
		require.Equal(t, "before", string(b))
	}
}

func TestPacketOfHeader_ReadsTheBytesOfTheForm(t *testing.T) {
	header, msg := []byte(goldenHeader), []byte("hello")

	p, err := newFactory().PacketOfHeader(header, msg)
	require.NoError(t, err)

	// A small packet that is kept must not hold the frame that its header came in.
	clear(header)

	require.Equal(t, "Orchestrator:grpcs://127.0.0.1:2000", p.GetSource().String())
	require.Equal(t, []mino.Address{
		session.NewAddress("127.0.0.1:2001"),
		session.NewAddress("grpc://127.0.0.1:2002"),
	}, p.GetDestination())
	require.Same(t, &msg[0], &p.GetMessage()[0], "the message is copied")
}

// Promise R3: a header from the network is input.
func TestPacketOfHeader_RefusesWhatIsNoHeader(t *testing.T) {
	const to = "\x01\x05FBa:1" // from a:1 to

	tests := map[string]struct{ header, message string }{
		"version 0":            {"\x00\x05FBa:1\x00", "not of version 1"},
		"version 2":            {"\x02\x05FBa:1\x00", "not of version 1"},
		"JSON":                 {golden(t, "packet.json"), "not of version 1"},
		"empty source":         {"\x01\x00\x00", "source: address is empty"},
		"source without host":  {"\x01\x02FB\x00", "no host"},
		"empty destination":    {to + "\x02\x00\x05FBb:1", "destination: address is empty"},
		"destination no host":  {to + "\x01\x07FB:2000", "no host"},
		"unknown type":         {to + "\x01\x05FZb:1", "unknown connection type"},
		"unknown role":         {to + "\x01\x05XBb:1", "not in its text form"},
		"one byte":             {to + "\x01\x01F", "no host"},
		"same address twice":   {to + "\x02\x05FBb:1\x05FBb:1", "there twice"},
		"too many":             {to + "\x03\x05FBb:1\x05FBc:1\x05FBd:1", "limit of 2"},
		"more than anything":   {to + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "limit of 2"},
		"more than there are":  {to + "\x02\x02F", "cut short"},
		"text beyond the end":  {to + "\x01\x06FBb:1", "cut short"},
		"huge text":            {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01FB", "cut short"},
		"endless number":       {to + strings.Repeat("\xff", 11), "cut short"},
		"long form of zero":    {to + "\x80\x00", "shortest form"},
		"long form of one":     {to + "\x81\x00\x05FBb:1", "shortest form"},
		"long form of lengths": {"\x01\x85\x80\x00FBa:1\x00", "shortest form"},
		"trailing":             {to + "\x00\x00", "1 bytes are left over"},
	}

	factory := newFactory(tree.WithMaxAddresses(2))

	for name, tt := range tests {
		p, err := factory.PacketOfHeader([]byte(tt.header), nil)
		require.ErrorContains(t, err, "failed to decode packet: ", name)
		require.ErrorContains(t, err, tt.message, name)
		require.Nil(t, p, name)
	}

	for i := range goldenHeader {
		_, err := factory.PacketOfHeader([]byte(goldenHeader[:i]), nil)
		require.Error(t, err, "%d bytes", i)
	}
}

// Promise R3: a number of destinations is not believed before they are there.
func TestPacketOfHeader_AnnouncedDestinationsCostNothing(t *testing.T) {
	factory := newFactory()
	header := []byte("\x01\x05FBa:1\xc0\x84\x3d") // to 1,000,000, the limit

	var before, after runtime.MemStats

	runtime.ReadMemStats(&before)

	_, err := factory.PacketOfHeader(header, nil)
	require.ErrorContains(t, err, "cut short")

	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1_000_000))
}

// What goes from node to node is the same packet in either form.
func TestPacket_IsTheSameInEveryForm(t *testing.T) {
	ctx := json.NewContext()
	table, err := newRouter().New(nil, nil)
	require.NoError(t, err)

	rapid.Check(t, func(t *rapid.T) {
		address := rapid.Custom(func(t *rapid.T) mino.Address {
			host := rapid.StringMatching(`((grpc|grpcs|https)://)?[a-z]{1,3}:[0-9]`)
			addr := session.NewAddress(host.Draw(t, "address"))

			if rapid.Bool().Draw(t, "orchestrator") {
				return session.NewOrchestratorAddress(addr)
			}

			return addr
		})
		source := address.Draw(t, "source")
		dests := rapid.SliceOfN(address, 0, 40).Draw(t, "destinations")
		msg := rapid.SliceOf(rapid.Byte()).Draw(t, "message")

		p := table.Make(source, dests, msg)
		data, err := p.Serialize(ctx)
		require.NoError(t, err)

		factory := newFactory()
		fromText, err := factory.PacketOf(ctx, data)
		require.NoError(t, err)
		fromHeader, err := factory.PacketOfHeader([]byte(headerOf(t, p)), msg)
		require.NoError(t, err)

		for _, got := range []router.Packet{fromText, fromHeader} {
			require.Equal(t, source, got.GetSource())
			require.Equal(t, p.GetDestination(), got.GetDestination())
			require.Equal(t, string(msg), string(got.GetMessage()))
			require.Equal(t, headerOf(t, p), headerOf(t, got))
		}
	})
}

// Promise R3: no input makes the factory panic, and what it accepts is the one
// header of the packet.
func FuzzPacketOfHeader(f *testing.F) {
	for _, header := range []string{
		"", goldenHeader, emptyHeader, goldenHeader + "\x00", goldenHeader[:30],
		"\x01\x05FBa:1\x01\x05FBb:1", "\x01\x05FBa:1\x02\x05FBb:1\x05FBb:1", "\x01\x05FBa:1\x81\x00\x05FBb:1",
		"\x01\x05FBa:1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x05FZa:1\x00",
	} {
		f.Add([]byte(header))
	}

	factory := newFactory(tree.WithMaxAddresses(1000))
	ctx := json.NewContext()

	f.Fuzz(func(t *testing.T, header []byte) {
		p, err := factory.PacketOfHeader(header, []byte("hello"))
		if err != nil {
			return
		}

		require.Equal(t, string(header), headerOf(t, p))

		data, err := p.Serialize(ctx)
		require.NoError(t, err)

		same, err := factory.PacketOf(ctx, data)
		require.NoError(t, err)
		require.Equal(t, p, same)
	})
}
