package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/internal/opening"
	"github.com/minogrpc/session/internal/watch"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/metadata"
)

// errOtherTerms is the loss of a child that has accepted a stream otherwise than it had agreed to.
var errOtherTerms = errors.New("the child has not accepted what it had agreed to")

// firstStream is the first stream of a link to a child.
type firstStream struct {
	OpenStream

	dialler *dialler
	opener  *linkOpener
	stream  ptypes.Overlay_StreamClient
	// life is that of the link, and began when its stream was opened.
	life  context.Context
	began time.Time

	// agreed is what the child has agreed to over the connection, and dealing what this stream is for.
	// terms are what the child has agreed to last, or nil.
	agreed  *agreements
	dealing dealing
	terms   *terms
}

// begin opens the first stream of a link. If the child has agreed to something over the connection, the
// stream offers that.
func (d *dialler) begin(ctx context.Context, conns connOpener, opener *linkOpener, known bool) (*firstStream, error) {
	opened, err := conns.acquire()
	if err != nil {
		return nil, &dialError{error: fmt.Errorf("failed to acquire the connection: %w", err), told: toldNotTrusted}
	}

	f := &firstStream{
		OpenStream: opened, dialler: d, opener: opener, life: ctx, began: time.Now(),
		agreed: agreementsOver(opened.Conn),
	}
	f.dealing = dealing{procedure: first(conns.md, URIKey), formats: strings.Join(opener.formats, "+")}
	f.Evict = func() { d.witness.fault(contain.Do(opened.Evict)) } // The manager may be the application's.

	if known && !d.noDuplex {
		f.terms = f.agreed.find(f.dealing)
	}

	ctx, cancel := context.WithCancel(ctx)
	f.Release = func() {
		cancel()
		opened.Release()
	}

	f.stream, err = opening.Begin(conns.outgoing(ctx, f.offer()), opened.Conn)
	if err != nil {
		return nil, f.fail(err)
	}

	f.Stream = f.stream

	return f, nil
}

// offer returns the offer of the stream, which is nil for a link that is not duplex.
func (f *firstStream) offer() metadata.MD {
	switch {
	case f.dialler.noDuplex:
		return nil
	case f.terms != nil:
		return metadata.Pairs(LinkKey, f.terms.offer(f.opener.id).Value())
	default:
		return f.opener.offer(1, 0)
	}
}

// isEarly tells whether frames may follow at once: the stream goes over the transport on which the child
// has agreed to that. From now on gRPC does not move the stream to another one.
func (f *firstStream) isEarly() bool {
	return f.terms != nil && watch.Of(f.stream.Context()) == f.terms.meter
}

// await waits until the child accepts the stream. The acceptance is nil when the link is not duplex.
func (f *firstStream) await() (*offer.Acceptance, error) {
	header, err := opening.Header(f.stream)
	if err != nil {
		f.agreed.note(f.dealing, nil)

		if slices.Contains(f.stream.Trailer().Get(LinkKey), LinkRefused) {
			err = fmt.Errorf("%w: %w", link.ErrRefused, err)
		}

		return nil, err
	}

	f.Header = header

	if f.dialler.noDuplex {
		return nil, nil
	}

	accepted, ok := offer.ParseAcceptance(header.Get(LinkKey))
	if !ok {
		f.agreed.note(f.dealing, nil)

		return nil, nil
	}

	f.opener.session, f.opener.evict = accepted.Session, f.Evict
	f.agreed.note(f.dealing, f.dialler.framing.termsOf(watch.Of(f.stream.Context()), &accepted))

	return &accepted, nil
}

// answer waits for the answer to a stream over which frames have left already. The link releases it.
func (f *firstStream) answer() (link.Accepted, error) {
	accepted, err := f.await()

	switch {
	case err != nil:
		f.quit()

		return link.Accepted{}, newDialError(err)
	case accepted == nil || !f.terms.areThose(accepted):
		return link.Accepted{}, errOtherTerms
	default:
		return link.Accepted{Tenure: accepted.Tenure, Wait: accepted.Wait}, nil
	}
}

// fail releases a stream that could not be opened, and returns the error of the dial.
func (f *firstStream) fail(err error) error {
	f.quit()
	f.Release()

	return newDialError(err)
}

// quit gives up the connection if the next stream should not use it.
func (f *firstStream) quit() {
	if isWorthless(f.life, f.life, f.Conn, f.began) {
		f.Evict()
	}
}

// early returns the connection for a link whose frames follow at once.
func (f *firstStream) early() link.Connection {
	frames := f.dialler.framing.frames(f.terms.frame, f.terms.format, f.terms.can)
	frames.Stream = newWireStream(f.OpenStream)
	frames.Redial = f.opener.again
	frames.Wait = f.terms.wait
	frames.Await = f.answer

	return link.Connection{Frames: &frames}
}

// first opens the first stream of a link, and waits for the answer unless frames may follow at once. The
// acceptance is nil without an answer, and when the link is not duplex.
func (d *dialler) first(ctx context.Context, conns connOpener, opener *linkOpener) (
	f *firstStream, accepted *offer.Acceptance, early bool, err error,
) {
	for known := true; ; known = false {
		f, err = d.begin(ctx, conns, opener, known)
		if err != nil || f.isEarly() {
			return f, nil, err == nil, err
		}

		accepted, err = f.await()

		switch {
		case err == nil:
			return f, accepted, false, nil
		case f.terms == nil || !errors.Is(err, link.ErrRefused):
			return nil, nil, false, f.fail(err)
		}

		// The child has another transport by now, and does not know what the former one agreed to.
		f.Release()
	}
}
