package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// bare is a gRPC server, a client of it, and a stream between them, with nothing of
// the library but the messages, and with the defaults of gRPC.
type bare struct {
	server *grpc.Server
	conn   *grpc.ClientConn
	client ptypes.OverlayClient
	stream grpc.BidiStreamingClient[ptypes.Packet, ptypes.Packet]
	cancel context.CancelFunc

	// served counts the goroutine of the server.
	served sync.WaitGroup
}

// newBare starts the server on the loopback interface and opens the stream, all
// under the label of the raw side, which the goroutines of gRPC inherit.
func newBare(secure bool) (*bare, error) {
	var (
		b   *bare
		err error
	)

	err = paired.Labelled(raw, func() error {
		b, err = startBare(secure)

		return err
	})

	return b, err
}

// startBare is newBare without the label.
func startBare(secure bool) (*bare, error) {
	creds := insecure.NewCredentials()

	if secure {
		config, err := mutualTLS()
		if err != nil {
			return nil, err
		}

		creds = credentials.NewTLS(config)
	}

	listener, err := listenLoopback()
	if err != nil {
		return nil, err
	}

	b := &bare{server: grpc.NewServer(grpc.Creds(creds))}
	ptypes.RegisterOverlayServer(b.server, bareService{})
	b.served.Go(func() { _ = b.server.Serve(listener) }) // the client notices

	b.conn, err = grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		b.server.Stop()

		return nil, err
	}

	b.client = ptypes.NewOverlayClient(b.conn)

	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.close())
	}

	return b, nil
}

// open opens the stream and waits for its header.
func (b *bare) open() error {
	var ctx context.Context

	ctx, b.cancel = context.WithCancel(context.Background())

	stream, err := openBare(ctx, b.client)
	b.stream = stream

	return err
}

// openBare opens a stream and waits for its header, as the overlay does: without
// it nobody knows whether there is somebody at the other end.
func openBare(ctx context.Context, client ptypes.OverlayClient,
) (grpc.BidiStreamingClient[ptypes.Packet, ptypes.Packet], error) {
	stream, err := client.Stream(ctx)
	if err != nil {
		return nil, err
	}

	header, err := stream.Header()
	if err == nil && header == nil {
		err = errors.New("the bare stream was refused")
	}

	return stream, err
}

// close ends the stream, the server and the connection.
func (b *bare) close() error {
	b.cancel()
	b.server.Stop()
	b.served.Wait()

	return b.conn.Close()
}

// call is one unary call.
func (b *bare) call(payload []byte) error {
	_, err := b.client.Forward(context.Background(), &ptypes.Packet{Serialized: payload})

	return err
}

// exchange sends packets over the stream and reads as many answers, with at most
// that many of them outstanding.
func (b *bare) exchange(n, atOnce int, packet *ptypes.Packet) error {
	slots := make(chan struct{}, atOnce)
	sent := make(chan error, 1)

	send := func() error {
		slots <- struct{}{}

		return b.stream.Send(packet)
	}
	receive := func() error {
		_, err := b.stream.Recv()
		<-slots

		return err
	}

	if atOnce == 1 {
		return repeat(n, func() error { return errors.Join(send(), receive()) })
	}

	go func() { sent <- repeat(n, send) }()

	return errors.Join(repeat(n, receive), <-sent)
}

// repeat runs the operation that many times, until the first error.
func repeat(n int, op func() error) error {
	for range n {
		if err := op(); err != nil {
			return err
		}
	}

	return nil
}

// quiet is the hop limit of the packets that get no answer.
const quiet = 1

// pour sends messages of which only the last is answered, which it waits for.
func (b *bare) pour(n int, payload []byte) error {
	packet := &ptypes.Packet{Serialized: payload, HopLimit: quiet}
	last := &ptypes.Packet{Serialized: payload, Frame: 1}

	if err := repeat(n-1, func() error { return b.stream.Send(packet) }); err != nil {
		return err
	}

	return b.exchange(1, 1, last)
}

// bareService does the least that a server can do.
type bareService struct {
	ptypes.UnimplementedOverlayServer
}

// Forward answers at once.
func (bareService) Forward(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
	return &ptypes.Ack{}, nil
}

// Stream answers each packet: one that has a number with that alone, as a receipt would,
// another with itself. A packet that may not be passed on gets no answer.
func (bareService) Stream(stream grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}

	for {
		packet, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		if packet.GetHopLimit() == quiet {
			continue
		}

		if number := packet.GetFrame(); number != 0 {
			packet = &ptypes.Packet{Frame: number}
		}

		if err := stream.Send(packet); err != nil {
			return err
		}
	}
}

// listenLoopback opens a free port.
func listenLoopback() (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// shakeHands makes one bare connection on which both ends prove who they are, and
// waits until both are satisfied.
func shakeHands(ctx context.Context, addr string, config *tls.Config) error {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}

	// The client believes the server first, and then is believed.
	_, err = io.ReadFull(conn, make([]byte, 1))

	return errors.Join(err, conn.Close())
}

// greet accepts connections until the listener is closed, and writes a byte on each
// after its handshake.
func greet(listener net.Listener) {
	var conns sync.WaitGroup
	defer conns.Wait()

	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}

		conns.Go(func() {
			// The client gets the byte or fails.
			_, _ = conn.Write([]byte{0})
			_ = conn.Close()
		})
	}
}
