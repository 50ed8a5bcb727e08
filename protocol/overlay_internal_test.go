package protocol

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// name is the address of a player, as the caller has it.
type name string

func (n name) MarshalText() ([]byte, error)               { return []byte(n), nil }
func (n name) String() string                             { return string(n) }
func (n name) Equal(other mino.Address) bool              { return other.String() == string(n) }
func (n name) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// heardName is the same address as an overlay has it: of another type, and with another text.
type heardName struct{ name }

func (h heardName) MarshalText() ([]byte, error) { return []byte("heard:" + h.name), nil }

// names returns the addresses of players, whose names have one letter.
func names(letters string) []mino.Address {
	addrs := make([]mino.Address, len(letters))
	for i, letter := range letters {
		addrs[i] = name(letter)
	}

	return addrs
}

// played is an overlay whose players are played by the test.
type played struct {
	mino.Mino
	mino.RPC

	handler mino.ContextHandler
	factory serde.Factory

	// roots are what becomes of the attempts to open a stream, and opened has their players.
	roots  []error
	opened []string
	// ctx is that of the stream.
	ctx context.Context

	// outcomes are those of the destinations of all messages.
	outcomes map[mino.Address]error
	// next are called at the first Send, at the second, and so on.
	next []func()
	// held is closed to let Send tell the outcomes. It is nil if that is at once.
	held   chan struct{}
	sent   chan envelope
	events chan mino.Event
	// senders are those that a context has named.
	senders chan any
	// end is what Recv returns when events is closed.
	end error
}

// newPlayed returns the overlay and a procedure on it.
func newPlayed(t *testing.T, opts ...Option) (*played, *Procedure[int, int]) {
	t.Helper()

	p := &played{sent: make(chan envelope, 3*maxWaiting), events: make(chan mino.Event, 3*maxWaiting), end: errEnd}
	procedure, err := Define(p, "test", func(context.Context, *Stream[int, int]) error { return nil }, opts...)
	require.NoError(t, err)

	return p, procedure
}

var errEnd = errors.New("the root has gone")

func (p *played) CreateRPC(_ string, h mino.Handler, f serde.Factory) (mino.RPC, error) {
	p.handler, _ = h.(mino.ContextHandler)
	p.factory = f

	return p, nil
}

func (p *played) Stream(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
	var order []string
	for it := players.AddressIterator(); it.HasNext(); {
		order = append(order, it.GetNext().String())
	}

	p.opened = append(p.opened, strings.Join(order, ""))

	if !mino.WantsNews(ctx) {
		return nil, nil, errors.New("nobody wants news")
	}

	if len(p.roots) > 0 {
		err := p.roots[0]
		p.roots = p.roots[1:]

		if err != nil {
			return nil, nil, err
		}
	}

	p.ctx = ctx

	return p, p, nil
}

// doubtError is the error of a message that may be delivered.
type doubtError struct{ to mino.Address }

func (doubtError) Error() string               { return "no outcome in time" }
func (d doubtError) Undelivered() mino.Address { return d.to }
func (doubtError) InDoubt() bool               { return true }

// unreachedError is the error of a message that is not delivered.
type unreachedError struct{ doubtError }

func (unreachedError) InDoubt() bool { return false }

// senderKey is the key of the one who sends, which the overlay notes if there is one.
type senderKey struct{}

func (p *played) SendContext(ctx context.Context, msg serde.Message, addrs ...mino.Address) <-chan error {
	if who := ctx.Value(senderKey{}); who != nil {
		p.senders <- who
	}

	return p.Send(msg, addrs...)
}

func (p *played) Send(msg serde.Message, addrs ...mino.Address) <-chan error {
	data, err := msg.Serialize(json.NewContext())
	if err != nil {
		panic(err)
	}

	if len(p.next) > 0 {
		next := p.next[0]
		p.next = p.next[1:]

		defer next()
	}

	again, _ := p.factory.Deserialize(json.NewContext(), data)
	e, _ := again.(envelope)
	p.sent <- e

	errs := make(chan error, len(addrs))
	addrs = slices.Clone(addrs)

	tell := func() {
		for _, addr := range addrs {
			if err := p.outcomes[addr]; err != nil {
				errs <- err
			}
		}

		close(errs)
	}

	if p.held == nil {
		tell()
	} else {
		go func() { <-p.held; tell() }()
	}

	return errs
}

func (p *played) Recv(ctx context.Context) (mino.Address, serde.Message, error) {
	event, err := p.RecvEvent(ctx)

	return event.From, event.Message, err
}

func (p *played) RecvEvent(ctx context.Context) (mino.Event, error) {
	select {
	case event, more := <-p.events:
		if more {
			return event, nil
		}

		return event, p.end
	default:
	}

	select {
	case event, more := <-p.events:
		if !more {
			return event, p.end
		}

		return event, nil
	case <-ctx.Done():
		return mino.Event{}, context.Cause(ctx)
	}
}

// asked lets the test do something when a further message has been sent.
func (p *played) asked(do func()) {
	p.next = append(p.next, do)
}

// says lets a player send an envelope.
func (p *played) says(from string, k kind, id uint64, payload string) {
	p.events <- mino.Event{From: heardName{name(from)}, Message: envelope{k, id, []byte(payload)}}
}

// news lets the overlay say what has become of a player.
func (p *played) news(of string, state mino.PlayerState, cause error) {
	p.events <- mino.Event{From: heardName{name(of)}, State: state, Cause: cause}
}
