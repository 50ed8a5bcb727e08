package minogrpc_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/metadata"
	protobuf "google.golang.org/protobuf/proto"
)

// hostileLink is a peer that agrees on a duplex link and then plays a script: the first
// byte says what it is, and each that follows what it does next.
type hostileLink struct {
	*hostilePeer

	md    metadata.MD
	epoch int
}

// offer opens the next stream of the link, with what the peer says to have received.
func (l *hostileLink) offer(ctx context.Context, received int) {
	l.epoch++

	md := l.md.Copy()
	md.Set(link, "duplex-1;id=00112233445566778899aabbccddeeff;frame=65536;format=tree1;epoch="+
		strconv.Itoa(l.epoch)+";received="+strconv.Itoa(received))
	l.open(metadata.NewOutgoingContext(ctx, md))
}

func (l *hostileLink) last() hostileStream {
	return l.streams[len(l.streams)-1]
}

// play follows the script to its end.
func (l *hostileLink) play(ctx context.Context) {
	l.md = metadata.Pairs("apiuri", rpcName, "streamid", "s1", "gateway", peerText)
	if l.next()%2 == 0 {
		l.md.Set("handshake", leaf)
	}

	l.offer(ctx, 0)

	for range maxActions {
		if len(l.script) == 0 || len(l.streams) == 0 {
			return
		}

		switch l.next() {
		case 'w':
			time.Sleep(time.Duration(l.next()) * 100 * time.Millisecond) // Virtual time.
		case 'c':
			l.last().cancel()
		case 'r':
			l.offer(ctx, l.next())
		default:
			_ = l.last().SendMsg(l.bytes())
		}

		synctest.Wait()
	}
}

// frameOf returns the part of a script that sends a frame.
func frameOf(frame *ptypes.Packet) string {
	data, err := protobuf.Marshal(frame)
	if err != nil || len(data) > 255 {
		panic("a seed that is no frame")
	}

	return "f" + string([]byte{byte(len(data))}) + string(data)
}

// linkSeeds are scripts of rather well-formed frames.
func linkSeeds() []string {
	const toNode = `{"Source":"RkExMjcuMC4wLjE6MQ==","Dest":["RkFuMTox"],"Message":"aGk="}`

	origin := []byte("0123456789abcdef")
	parcel := &ptypes.Parcel{Id: 1, Origin: origin, Sequence: 1, HopLimit: 2, BudgetMs: 10, Body: []byte(toNode)}
	whole := frameOf(&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{parcel}})
	again := frameOf(&ptypes.Packet{Frame: 2, Received: 1, Parcels: []*ptypes.Parcel{parcel, {Id: 2}}})
	chunk := frameOf(&ptypes.Packet{Frame: 1, Chunks: []*ptypes.Chunk{{Id: 1, Total: 1 << 50, Data: []byte("hi")}}})
	goodbye := frameOf(&ptypes.Packet{Goodbye: true})
	binary := frameOf(&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1, Header: []byte("\x01\x02\x03")}}})
	answers := frameOf(&ptypes.Packet{Frame: 2, Delivered: []uint64{1, 2, 3}, Receipts: []*ptypes.Receipt{
		{ParcelId: 1, Reached: []uint32{9}, Last: true, Failures: []*ptypes.Failure{{Reason: 99}}},
	}})

	return []string{
		"\x00" + whole + "w\x01" + again + goodbye,
		"\x01" + whole + answers + "cr\x01" + again + "w\xff",
		"\x00" + chunk + "cr\x00" + whole + "r\x05w\xff",
		"\x01" + binary + "w\x01" + binary,
		"\x00" + "w\xff" + whole,
	}
}

// Promises R3, S3: whatever a peer does with a duplex link, the node serves the others,
// and when the peer has gone nothing is left of it.
func FuzzHostileLink(f *testing.F) {
	for _, script := range linkSeeds() {
		f.Add([]byte(script))
	}

	fuzzHostile(f, func(ctx context.Context, p *hostilePeer) {
		link := &hostileLink{hostilePeer: p}
		link.play(ctx)
	})
}
