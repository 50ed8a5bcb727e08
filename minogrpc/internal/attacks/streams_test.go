//go:build linux

package attacks_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// link is the attacker's end of a duplex link, on which it writes what it likes and reads nothing.
type link struct {
	ptypes.Overlay_StreamClient

	frames, parcels uint64
}

// dial returns a connection of gRPC from a host, until the context ends.
func (a attacker) dial(ctx context.Context, host string) (*grpc.ClientConn, error) {
	creds := credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{*a.cert},
	})

	conn, err := grpc.NewClient("passthrough:///"+a.target, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return a.tcp(ctx, host)
		}))
	if err == nil {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}

	return conn, err
}

// linkMetadata are those of a stream of the member to a procedure, with more.
func linkMetadata(procedure, id string, more ...string) metadata.MD {
	return metadata.Pairs(append([]string{
		"apiuri", procedure, "streamid", id, "gateway", memberText,
		session.LinkKey, fmt.Sprintf("duplex-1;id=%s;epoch=1;received=0;frame=262144;format=tree1", id),
	}, more...)...)
}

// open opens a duplex link as an orchestrator, or as a parent with a handshake.
func open(ctx context.Context, conn *grpc.ClientConn, md metadata.MD) (*link, error) {
	stream, err := ptypes.NewOverlayClient(conn).Stream(metadata.NewOutgoingContext(ctx, md))
	if err != nil {
		return nil, err
	}

	_, err = stream.Header()

	return &link{Overlay_StreamClient: stream}, err
}

// write writes a frame.
func (l *link) write(frame *ptypes.Packet) error {
	l.frames++
	frame.Frame = l.frames

	return l.Send(frame)
}

// parcel returns one with a packet.
func (l *link) parcel(packet []byte) *ptypes.Parcel {
	l.parcels++

	return &ptypes.Parcel{
		Id: l.parcels, Origin: []byte("0123456789abcdef"), Sequence: l.parcels, HopLimit: 10, Body: packet,
	}
}

// packetOf returns a packet of the member as an orchestrator.
func packetOf(t *testing.T, message string, to ...mino.Address) []byte {
	t.Helper()

	source := session.NewOrchestratorAddress(addressOf(identity{Address: []byte(memberText)}).(session.Address))

	data, err := types.NewPacket(source, []byte(message), to...).Serialize(json.NewContext())
	require.NoError(t, err)

	return data
}

// hostsOf returns that many addresses.
func hostsOf(n int) []mino.Address {
	list := make([]mino.Address, n)
	for i := range list {
		list[i] = session.NewAddress(fmt.Sprintf("h%d:1", i))
	}

	return list
}

// Promises M3, S3: whatever a member sends in its streams, it holds no more than its share.
func TestMembers_Streams(t *testing.T) {
	w := newWorld(t, setup{})
	w.patience = session.DefaultAdoptionGrace
	a, _ := w.member(t)

	handshake, err := types.NewHandshake(10, hostsOf(100_000)...).Serialize(json.NewContext())
	require.NoError(t, err)

	small := packetOf(t, strings.Repeat("x", 22), w.address())
	empty := packetOf(t, "", w.address())
	nowhere := packetOf(t, "", session.NewAddress(strings.Repeat("n", 200)+":1"))
	nested := []byte(`{"Source":` + strings.Repeat(`[`, 1<<20))
	everywhere := packetOf(t, "", hostsOf(400_000)...)

	for _, c := range []struct {
		name    string
		streams int
		bounds  bounds
		more    []string
		do      func(ctx context.Context, l *link) error
	}{
		{"small messages that nobody reads", 8, sized(memberBound), nil, parcels(small, 1000)},
		{"empty messages that nobody reads", 8, sized(memberBound), nil, parcels(empty, 1000)},
		{"messages that stall", 16, sized(memberBound), nil, stalls},
		{"outcomes that nobody reads", 8, sized(memberBound), nil, parcels(nowhere, 1000)},
		{"messages for nowhere in great numbers", 2, sized(memberBound), nil, large(everywhere)},
		{"nested JSON", 2, sized(memberBound), nil, large(nested)},
		{"large routing tables", 24, sized(memberBound), []string{session.HandshakeKey, string(handshake)}, rests},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, c.bounds, func(ctx context.Context) {
				conn, err := a.dial(ctx, hostOf(mostHosts*w.attacks))
				if err != nil {
					t.Error(err)

					return
				}

				w.streams(ctx, c.streams, func(ctx context.Context, id string) error {
					l, err := open(ctx, conn, linkMetadata(deafProcedure, id, c.more...))
					if err == nil {
						err = c.do(ctx, l)
					}

					return err
				})
			})
		})
	}
}

// streams has as many streams do something until the context ends. One that is lost is replaced.
func (w *world) streams(ctx context.Context, n int, do func(ctx context.Context, id string) error) {
	var opened atomic.Int64

	w.every(ctx, n, 1, func(ctx context.Context, _ string) error {
		return do(ctx, fmt.Sprintf("%016x%016x", w.attacks, opened.Add(1)))
	})
}

// parcels sends a packet again and again, so many in a frame.
func parcels(packet []byte, n int) func(context.Context, *link) error {
	return func(_ context.Context, l *link) error {
		for {
			frame := &ptypes.Packet{}
			for range n {
				frame.Parcels = append(frame.Parcels, l.parcel(packet))
			}

			if err := l.write(frame); err != nil {
				return err
			}
		}
	}
}

// piece is what goes into a frame of a large message, in bytes.
const piece = 200 << 10

// large sends a packet again and again that does not fit into a frame.
func large(packet []byte) func(context.Context, *link) error {
	return func(_ context.Context, l *link) error {
		for id := uint64(1); ; id++ {
			for from := 0; from < len(packet); from += piece {
				part := packet[from:min(from+piece, len(packet))]
				frame := &ptypes.Packet{}

				if from+piece < len(packet) {
					frame.Chunks = []*ptypes.Chunk{
						{Id: id, Offset: uint64(from), Total: uint64(len(packet)), Data: part},
					}
				} else {
					last := l.parcel(part)
					last.Chunked = id
					frame.Parcels = []*ptypes.Parcel{last}
				}

				if err := l.write(frame); err != nil {
					return err
				}
			}
		}
	}
}

// stalls announces a message of the largest size, sends a quarter of it, and signs of life after that.
func stalls(ctx context.Context, l *link) error {
	const size = 64 * mib

	for from := 0; from < size/4; from += piece {
		err := l.write(&ptypes.Packet{Chunks: []*ptypes.Chunk{
			{Id: 1, Offset: uint64(from), Total: size, Data: make([]byte, piece)},
		}})
		if err != nil {
			return err
		}
	}

	return rests(ctx, l)
}

// rests gives signs of life.
func rests(ctx context.Context, l *link) error {
	for ctx.Err() == nil {
		if err := l.Send(&ptypes.Packet{}); err != nil {
			return err
		}

		wait(ctx, time.Second)
	}

	return ctx.Err()
}

// Promises M3, S3: the messages of calls count for the memory of the node while they come, and cost
// little to decode.
func TestMembers_Calls(t *testing.T) {
	w := newWorld(t, setup{})
	a, _ := w.member(t)

	for _, c := range []struct {
		name   string
		bounds bounds
		size   int
		data   []byte
	}{
		{"whose messages stall", sized(memberBound), 64 * mib, make([]byte, 3*mib)},
		{"with one message after the other", sized(memberBound), 0, make([]byte, 3*mib)},
		{"with nested groups", sized(memberBound), -1, bytes.Repeat([]byte{0xa3, 0x06}, 1<<20)},
		{"with unknown fields", sized(memberBound), -1, bytes.Repeat([]byte{0xa0, 0x06, 1}, 1<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := c.size
			if size < 0 {
				size = len(c.data)
			}

			w.withstands(t, c.bounds, func(ctx context.Context) {
				w.every(ctx, 4, 1, func(ctx context.Context, host string) error {
					conn, err := a.connect(ctx, host)

					for id := uint32(1); err == nil && id < math.MaxInt32; id += 2 {
						err = conn.call(id, conn.headers("Forward", "gateway", memberText, "apiuri", procedure,
							"streamid", "none"))
						if err == nil {
							err = conn.message(id, 0, size, c.data)
						}

						if err == nil && c.size < 0 {
							err = conn.framer.WriteData(id, true, nil)
						}
					}

					return err
				})
			})
		})
	}
}
