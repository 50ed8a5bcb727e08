package minogrpc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	protobuf "google.golang.org/protobuf/proto"
)

// action is what a hostile peer does next. The fuzzing chooses them by number.
type action byte

const (
	openAStream action = iota
	sendAFrame
	halfClose
	cancelAStream
	forward
	call
	joinOrShare
	wait
	actions
)

// maxActions bounds what one input makes the peer do.
const maxActions = 64

// hostilePeer plays a script against the victim: each byte says what to do, or how.
type hostilePeer struct {
	t       *testing.T
	script  []byte
	conn    *grpc.ClientConn
	streams []hostileStream
}

type hostileStream struct {
	grpc.ClientStream

	cancel context.CancelFunc
}

// rawCodec sends bytes as they are, and reads nothing.
type rawCodec struct{}

func (rawCodec) Name() string { return proto.Name }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

func newHostilePeer(t *testing.T, network *sessiontest.Network, script []byte) *hostilePeer {
	t.Helper()

	conn, err := grpc.NewClient("passthrough:///"+victim,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
		grpc.WithContextDialer(network.Dialer(attacker)))
	require.NoError(t, err)

	return &hostilePeer{t: t, script: script, conn: conn}
}

// next returns the next byte of the script, which goes on for ever.
func (p *hostilePeer) next() int {
	if len(p.script) == 0 {
		return 0
	}

	b := p.script[0]
	p.script = p.script[1:]

	return int(b)
}

// bytes returns as many of the next bytes as the first of them says.
func (p *hostilePeer) bytes() []byte {
	n := min(p.next(), len(p.script))
	text := p.script[:n]
	p.script = p.script[n:]

	return text
}

// values are what the metadata of a call may be, beside anything else.
var values = map[string][]string{
	"apiuri":    {rpcName, "other"},
	"streamid":  {"s1", "s2", "s3"},
	"gateway":   {peerText, "OA127.0.0.1:2", "FAnobody:1", "FAn1:1", "FBn1:1", "FA"},
	"handshake": {leaf, `{"Height":1,"Addresses":["RkFuMTox","RkFub2JvZHk6MQ=="]}`, `{"Height":65}`, "null"},
	"addr":      {"FAn1:1", "FAnobody:1", "FA"},
	"protocol":  {"tag"},
	link:        {"goodbye", "duplex-1;id=00112233445566778899aabbccddeeff;epoch=1;frame=65536"},
}

// keys are those of values, in an order that does not change.
var keys = []string{"apiuri", "streamid", "gateway", "handshake", "addr", "protocol", link}

// metadata returns what the script chooses: for each key a known value, none, or
// whatever the script says.
func (p *hostilePeer) metadata() metadata.MD {
	md := metadata.MD{}

	for _, key := range keys {
		known := values[key]

		switch choice := p.next(); {
		case choice < len(known):
			md.Set(key, known[choice])
		case choice == len(known):
		default:
			md.Set(key, string(p.bytes()))
		}
	}

	return md
}

// payloads are messages that are well-formed, beside anything else.
func payloads() [][]byte {
	const toNode = `{"Source":"RkExMjcuMC4wLjE6MQ==","Dest":["RkFuMTox","RkFub2JvZHk6MQ=="],"Message":"aGk="}`

	origin := []byte("0123456789abcdef")
	all := make([][]byte, 0, 6)

	for _, msg := range []protobuf.Message{
		&ptypes.Packet{Serialized: []byte(toNode)},
		&ptypes.Packet{Serialized: []byte(toNode), Origin: origin, Sequence: 1, HopLimit: 2, BudgetMs: 10},
		&ptypes.Packet{Receipts: []*ptypes.Receipt{{ParcelId: 1, Last: true}}},
		&ptypes.Packet{Serialized: []byte("null")},
		&ptypes.Message{From: []byte(peerText), Payload: []byte("hi")},
		&ptypes.Message{From: []byte("F")},
	} {
		data, _ := protobuf.Marshal(msg) // They are well-formed.
		all = append(all, data)
	}

	return all
}

func (p *hostilePeer) payload() []byte {
	known := payloads()
	if choice := p.next(); choice < len(known) {
		return known[choice]
	}

	return p.bytes()
}

// play follows the script to its end. Nothing in it fails: what the victim makes of
// it is for the victim to know.
func (p *hostilePeer) play(ctx context.Context) {
	for range maxActions {
		if len(p.script) == 0 {
			return
		}

		p.act(ctx, action(p.next())%actions)
	}
}

func (p *hostilePeer) act(ctx context.Context, a action) {
	switch a {
	case openAStream:
		p.open(metadata.NewOutgoingContext(ctx, p.metadata()))
	case forward:
		p.invoke(metadata.NewOutgoingContext(ctx, p.metadata()), ptypes.Overlay_Forward_FullMethodName)
	case call:
		p.invoke(metadata.NewOutgoingContext(ctx, p.metadata()), ptypes.Overlay_Call_FullMethodName)
	case joinOrShare:
		methods := []string{ptypes.Overlay_Join_FullMethodName, ptypes.Overlay_Share_FullMethodName}
		p.invoke(ctx, methods[p.next()%2])
	case wait:
		time.Sleep(time.Duration(p.next()) * 100 * time.Millisecond) // Virtual time.
	default:
		p.actOnStream(a)
	}
}

// actOnStream does something to a stream that was opened before.
func (p *hostilePeer) actOnStream(a action) {
	if len(p.streams) == 0 {
		return
	}

	stream := p.streams[p.next()%len(p.streams)]

	switch a {
	case sendAFrame:
		_ = stream.SendMsg(p.payload())
	case halfClose:
		_ = stream.CloseSend()
	default:
		stream.cancel()
	}
}

func (p *hostilePeer) open(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	p.t.Cleanup(cancel)

	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

	stream, err := p.conn.NewStream(ctx, desc, ptypes.Overlay_Stream_FullMethodName)
	if err == nil {
		p.streams = append(p.streams, hostileStream{ClientStream: stream, cancel: cancel})
	}
}

// invoke does not wait for an answer longer than a hostile peer has patience.
func (p *hostilePeer) invoke(ctx context.Context, method string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()

	_ = p.conn.Invoke(ctx, method, p.payload(), nil)
}

// Promise R3: whatever sequence of calls a hostile peer makes, the node serves the
// others, and when the peer has gone nothing is left of it.
func FuzzHostilePeer(f *testing.F) {
	for _, script := range []string{
		// An orchestrator, a packet, another with an identity, the end.
		"\x00\x00\x00\x00\x04\x00\x00\x01" + "\x01\x00\x00" + "\x01\x00\x01" + "\x02\x00" + "\x07\x01",
		// A parent that promises a goodbye and does not keep it, and calls for its stream.
		"\x00\x00\x01\x00\x00\x03\x00\x00" + "\x04\x00\x01\x00\x04\x03\x00\x02\x00" + "\x03\x00" + "\x07\xff",
		// The same stream from two gateways, one of which is the node itself.
		"\x00\x00\x00\x02\x01\x03\x00\x00" + "\x00\x00\x00\x03\x01\x03\x00\x00" + "\x01\x00\x00" + "\x01\x01\x02",
		// Calls, of which the node does not offer all.
		"\x05\x00\x03\x06\x04\x03\x00\x02\x04" + "\x05\x00\x03\x06\x04\x03\x00\x02\x05" +
			"\x06\x00\x09\x02ab" + "\x06\x01\x03",
		// Bytes that are nothing, in metadata and in frames.
		"\x00\x00\x00\x09\x03FAx\x00\x00\x00\x02" + "\x00\x09\x02\xff\x00" + "\x01\x00\xff\x05\x0a\xff\xff\xff\xff",
	} {
		f.Add([]byte(script))
	}

	fuzzHostile(f, func(ctx context.Context, p *hostilePeer) { p.play(ctx) })
}

// fuzzHostile has a peer play scripts against a node. The node must serve the others
// all the same, and nothing of the peer may be left when it has gone.
func fuzzHostile(f *testing.F, play func(ctx context.Context, p *hostilePeer)) {
	f.Helper()

	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			a := newAttacked(t)
			before := goroutines()
			ctx, cancel := context.WithCancel(t.Context())
			peer := newHostilePeer(t, a.network, script)

			play(ctx, peer)
			a.requireServing(t)
			cancel()
			require.NoError(t, peer.conn.Close())
			a.requireNothingLeft(t, before)
		})
	})
}
