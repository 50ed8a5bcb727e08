//go:build linux

package attacks_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// sized returns bounds of memory, and none of the processor.
func sized(memory int64) bounds {
	return bounds{memory: memory}
}

// Promises M3, S3: a member has its headers charged to the memory of the node before they are
// decoded, and pays for the work with time.
func TestMembers_Headers(t *testing.T) {
	w := newWorld(t, setup{})
	a, _ := w.member(t)

	for _, c := range []struct {
		name        string
		connections int
		bounds      bounds
		do          func(ctx context.Context, host string) error
	}{
		{"that never end", 200, sized(memberBound), endless(a)},
		{"one block after the other", 8, bounds{memory: memberBound, cpu: 0.8},
			calls(a, math.MaxInt32, references(15<<10))},
		{"of calls that wait for their messages", 8, sized(memberBound), calls(a, 4000, references(15<<10))},
		// In a short flood the victim still reads what the attack before has left in its buffers.
		{"of frames with nothing in them", 8, bounds{memory: memberBound, cpu: 0.8}, unfinished(a)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, c.bounds, func(ctx context.Context) { w.every(ctx, c.connections, 1, c.do) })
		})
	}
}

// endless begins a call whose headers never end.
func endless(a attacker) func(context.Context, string) error {
	return func(ctx context.Context, host string) error {
		c, err := a.connect(ctx, host)
		if err == nil {
			err = c.endless(1, 215<<10)
		}

		return err
	}
}

// calls begins calls with more headers, up to one of that id, which all wait for their messages.
func calls(a attacker, last uint32, more []byte) func(context.Context, string) error {
	return func(ctx context.Context, host string) error {
		c, err := a.connect(ctx, host)
		for id := uint32(1); err == nil && id < last; id += 2 {
			err = c.call(id, append(c.headers("Forward"), more...))
		}

		return err
	}
}

// unfinished sends frames with nothing in them within a text that does not come to its end. A decoder
// would copy that again and again.
func unfinished(a attacker) func(context.Context, string) error {
	return func(ctx context.Context, host string) error {
		c, err := a.connect(ctx, host)
		if err == nil {
			err = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append(
				[]byte{0, 1, 'x', 0x7f, 0x81, 0xff, 0xff, 0x03}, make([]byte, 16<<10-8)...)})
		}

		for i := 0; err == nil && i < 64; i++ {
			err = c.framer.WriteContinuation(1, false, make([]byte, 16<<10))
		}

		nothing := bytes.Repeat([]byte{0, 0, 0, 9, 0, 0, 0, 0, 1}, 1000)
		for err == nil {
			_, err = c.Write(nothing)
		}

		return err
	}
}

// Promise S3: what is known to bring servers of HTTP/2 down does not bring this one down.
func TestMembers_Frames(t *testing.T) {
	w := newWorld(t, setup{})
	a, _ := w.member(t)

	// Each is one frame after the other, many at once, as long as the victim takes them.
	for _, c := range []struct {
		name  string
		write func(c *client, f *http2.Framer, id uint32)
	}{
		{"calls that are reset", func(c *client, f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(opened(id, c.headers("Forward")))
			_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{"settings", func(_ *client, f *http2.Framer, id uint32) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: id})
		}},
		{"pings", func(_ *client, f *http2.Framer, _ uint32) { _ = f.WritePing(false, [8]byte{}) }},
		{"data with nothing in them", func(c *client, f *http2.Framer, id uint32) {
			if id == 1 {
				_ = f.WriteHeaders(opened(1, c.headers("Forward")))
			}

			_ = f.WriteData(1, false, nil)
		}},
		{"tables of headers", func(c *client, f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(opened(id, c.headers("Forward", fmt.Sprint("x", id), strings.Repeat("x", 3000))))
			_ = f.WriteData(id, true, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, sized(strangersBound), func(ctx context.Context) {
				w.every(ctx, 4, 1, func(ctx context.Context, host string) error {
					conn, err := a.connect(ctx, host)
					if err != nil {
						return err
					}

					var frames bytes.Buffer

					f := http2.NewFramer(&frames, nil)

					for id := uint32(1); err == nil; id += 2 {
						c.write(conn, f, id)

						if frames.Len() > 16<<10 {
							_, err = conn.Write(frames.Bytes())
							frames.Reset()
						}
					}

					return err
				})
			})
		})
	}
}

// opened returns the frame that begins a call.
func opened(id uint32, block []byte) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}
}

// Promise S4: a message that is compressed is refused before it is inflated, though the application
// has registered the format.
func TestMembers_CompressedMessages(t *testing.T) {
	w := newWorld(t, setup{})
	a, me := w.member(t)

	var bomb bytes.Buffer

	writer, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	require.NoError(t, err)
	_, err = writer.Write(make([]byte, 64*mib))
	require.NoError(t, err)
	require.NoError(t, writer.Close())

	methods := []string{"Call", "Forward", "Join", "Stream"}

	w.withstands(t, bounds{memory: strangersBound, cpu: 0.8}, func(ctx context.Context) {
		w.every(ctx, 8, 1, func(ctx context.Context, host string) error {
			c, err := a.connect(ctx, host)
			for id := uint32(1); err == nil && id < 100; id += 2 {
				err = c.call(id, c.headers(methods[id/2%4], "grpc-encoding", "gzip", "gateway", me))
				if err == nil {
					err = c.message(id, 1, bomb.Len(), bomb.Bytes())
				}
			}

			return err
		})
	})
}

// Promise S4: a caller that compresses is told so.
func TestMembers_CompressedCallIsRefused(t *testing.T) {
	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
		tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.NoTLS())
	require.NoError(t, err)

	_, err = node.CreateRPC(procedure, echo{}, texts{})
	require.NoError(t, err)

	address, err := node.GetAddress().MarshalText()
	require.NoError(t, err)

	conn, err := grpc.NewClient(strings.TrimPrefix(node.GetAddress().String(), "grpc://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)

	client := ptypes.NewOverlayClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "apiuri", procedure)
	question := &ptypes.Message{From: address, Payload: []byte("question")}

	_, err = client.Call(ctx, question)
	require.NoError(t, err)

	_, err = client.Call(ctx, question, grpc.UseCompressor("gzip"))
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.ErrorContains(t, err, "compressed messages are not accepted")

	stream, err := client.Stream(ctx, grpc.UseCompressor("gzip"))
	require.NoError(t, err)

	_, err = stream.Recv()
	require.Equal(t, codes.Unimplemented, status.Code(err))

	require.NoError(t, conn.Close())
	require.NoError(t, node.Stop())
}
