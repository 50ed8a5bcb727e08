package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/internal/watch"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	errUnregistered = errors.New("the relay is not registered in a session")
	errParted       = status.Error(codes.Unavailable, link.ErrClosed.Error())
)

// DuplexRelay is a [Relay] that carries packets and their outcomes in both directions over one
// stream, and over the next one when that stream breaks. Register it once, with Register or Listen;
// [Session] SetPassive does not take it.
type DuplexRelay struct {
	gw mino.Address

	// wire is the first stream of the link at the end that dials. At the other end each
	// stream has a relay of its own.
	wire *wireStream

	// offer, root, header and accept are set at the end that does not dial. offer is what the
	// opener of the stream has offered, and root whether it says that it is the root. header is
	// the answer, which is set when the relay is registered. accept sends the header, once.
	offer  offer.Offer
	root   bool
	header metadata.MD
	accept func() error

	// opener and accepted are set at the end that dials.
	opener   *linkOpener
	accepted *offer.Acceptance

	// registered is set by the first Register.
	registered atomic.Bool
	// attached is closed when link is set.
	attached chan struct{}
	link     *link.Link
}

// AcceptRelay returns the relay for a stream whose opener has offered a duplex link in the
// metadata. It returns false when there is no offer, or one that this version does not understand.
//
// The overlay registers the relay with Register of [Registrar], and calls its Accept after that. If
// [DuplexRelay] Resumes returns true, the stream belongs to an existing session: the overlay must
// not make a new session for it.
func AcceptRelay(stream PacketStream, gw mino.Address, md metadata.MD) (*DuplexRelay, bool) {
	offered, ok := offer.Parse(md.Get(LinkKey))
	if !ok {
		return nil, false
	}

	r := &DuplexRelay{
		gw: gw, offer: offered, root: slices.Contains(md.Get(LinkKey), LinkRoot), attached: make(chan struct{}),
	}
	r.accept = sync.OnceValue(func() error {
		server, ok := stream.(interface{ SendHeader(md metadata.MD) error })
		if !ok {
			return nil
		}

		return server.SendHeader(r.header)
	})
	r.wire = &wireStream{PacketStream: stream, first: r.accept}

	return r, true
}

// Accept sends the response header with which this node accepts the link, unless the header has
// been sent: the session sends it before its first frame. The overlay calls Accept once Register
// has returned, or Listen has closed ready. The streams of gRPC servers have a method SendHeader.
// For a stream without that method Accept does nothing, and the overlay must send Header before it
// writes a frame.
func (r *DuplexRelay) Accept() error {
	return r.accept()
}

// Resumes tells whether the stream resumes a link that has broken.
func (r *DuplexRelay) Resumes() bool {
	return r.offer.Epoch > 1
}

// Early tells whether frames follow the stream before it is accepted: see [Offer].
func (r *DuplexRelay) Early() bool {
	return r.offer.Early
}

// Header returns the metadata that accept the link. They are available once Register has returned,
// Listen has closed ready, or the session sends something over the stream.
func (r *DuplexRelay) Header() metadata.MD {
	return r.header
}

// GetDistantAddress implements [Relay].
func (r *DuplexRelay) GetDistantAddress() mino.Address {
	return r.gw
}

// Stream implements [Relay]. It returns the first stream of the link.
func (r *DuplexRelay) Stream() PacketStream {
	return r.wire.PacketStream
}

// Send implements [Relay]. It waits until the outcome of every destination is known.
// It returns an error when the relay is not registered in a session, or its link has
// ended.
func (r *DuplexRelay) Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error) {
	select {
	case <-r.attached:
	default:
		return nil, errUnregistered
	}

	select {
	case <-r.link.Parted():
		// The link would keep the packet until its deadline.
		return nil, errParted
	default:
	}

	to, err := destinationsOf(p)
	if err != nil {
		return nil, err
	}

	return r.deliver(ctx, p, to)
}

// deliver adds a packet to the link, and waits for its outcomes.
func (r *DuplexRelay) deliver(ctx context.Context, p router.Packet, to recipients) (*ptypes.Ack, error) {
	var errs []*DeliveryError

	done := make(chan struct{})
	h := link.Header{Deadline: time.Now().Add(DefaultOutcomeTimeout)}

	if deadline, ok := ctx.Deadline(); ok {
		h.Deadline = deadline
	}

	h.Pending = pending.New(to.keys, pending.Func(func(_, left int, err error) {
		errs = appendFailure(errs, err)

		if left == 0 {
			close(done)
		}
	}))

	err := r.link.Add(&link.Parcel{Header: h, Packet: p, Keys: to.keys, Dests: to.addrs})
	if err != nil {
		return nil, errNotAdded(err)
	}

	r.link.Flush()

	select {
	case <-done:
		return answer{errs: errs}.ack(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.link.Parted():
	}

	// A link reports what it holds before it parts. A packet that was added later has no
	// outcome.
	select {
	case <-done:
		return answer{errs: errs}.ack(), nil
	default:
		return nil, errParted
	}
}

// errNotAdded returns what a link that takes no parcel means for its sender.
func errNotAdded(err error) error {
	if errors.Is(err, link.ErrClosed) {
		return errParted
	}

	return status.Error(codes.ResourceExhausted, err.Error())
}

// Close implements [Relay]. It does nothing: the link ends with its session, which needs it to
// say goodbye.
func (r *DuplexRelay) Close() error {
	return nil
}

// claim makes the caller the one that registers the relay. Another one is registered already, or
// AcceptRelay and DialRelay have not made the relay, when it returns an error.
func (r *DuplexRelay) claim() error {
	switch {
	case r == nil || r.wire == nil:
		return errNoParent
	case r.registered.Swap(true):
		return errRegistered
	default:
		return nil
	}
}

// attach gives the relay its link.
func (r *DuplexRelay) attach(l *link.Link) {
	r.link = l
	close(r.attached)
}

// wireStream implements link.Stream.
type wireStream struct {
	PacketStream

	// first is called before each frame, and sends the header before the first one. It is nil
	// at the end that dials.
	first   func() error
	release func()

	// reads is set by the first Reads. It is nil for a stream that does not know its
	// connection.
	looked sync.Once
	reads  func() (uint64, time.Time)
}

func newWireStream(opened OpenStream) *wireStream {
	return &wireStream{PacketStream: opened.Stream, release: opened.Release}
}

// Recv implements link.Stream. The neighbour may have given the stream up because it heard nothing,
// which says something about the connection. When a connection breaks, gRPC's server only says that
// the stream is canceled.
func (s *wireStream) Recv() (*ptypes.Packet, error) {
	frame, err := s.PacketStream.Recv()

	switch {
	case err == nil:
	case status.Code(err) == codes.Unavailable && status.Convert(err).Message() == unheard:
		err = fmt.Errorf("%w: %w", link.ErrUnheard, err)
	case status.Code(err) == codes.Canceled:
		if broken := brokenBy(s.PacketStream); broken != nil {
			err = fmt.Errorf("%w: %w", broken, err)
		}
	}

	return frame, err
}

// errBroken is why a stream has ended whose connection is gone.
var errBroken = errors.New("the connection has broken")

// brokenBy returns why the connection of a stream has broken, or nil if that is open, or nobody
// knows.
func brokenBy(stream PacketStream) error {
	connected, ok := stream.(ConnectedStream)
	if !ok || connected.Connected() {
		return nil
	}

	if broken, ok := stream.(BrokenStream); ok {
		if cause := broken.Broken(); cause != nil {
			return fmt.Errorf("%w: %w", errBroken, cause)
		}
	}

	return errBroken
}

// Send implements link.Stream.
func (s *wireStream) Send(frame *ptypes.Packet) error {
	if s.first != nil {
		if err := s.first(); err != nil {
			return err
		}
	}

	return s.PacketStream.Send(frame)
}

// Reads implements link.Metered.
func (s *wireStream) Reads() (bytes uint64, last time.Time, known bool) {
	s.looked.Do(func() {
		if metered, ok := s.PacketStream.(MeteredStream); ok {
			s.reads = metered.Reads
		} else if meter := watch.Of(s.Context()); meter != nil {
			s.reads = meter.Reads
		}
	})

	if s.reads == nil {
		return 0, time.Time{}, false
	}

	bytes, last = s.reads()

	return bytes, last, !last.IsZero()
}

// Shut implements link.Stream. Only the opener of a stream waits for its end after a goodbye: at
// the other end the stream is over when its reader returns.
func (s *wireStream) Shut() bool {
	half, opener := s.PacketStream.(interface{ CloseSend() error })
	if !opener {
		return false
	}

	_, err := contain.Call(func() (struct{}, error) { return struct{}{}, half.CloseSend() })

	return err == nil
}

// Release implements link.Stream.
func (s *wireStream) Release() {
	if s.release != nil {
		s.release()
	}
}
