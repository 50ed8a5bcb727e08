package worlds_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// neighbour is the other end of a duplex link, which the test plays frame by frame. It
// is a parent that dials the session, or a neighbour that the session dials.
type neighbour struct {
	*world

	addr mino.Address

	// id and epoch are what it offers, and sess and table what for.
	id    string
	epoch uint64
	sess  session.Session
	table router.RoutingTable
	// served are the streams that it has opened.
	served []served

	// relay is the end of the session that has dialled it.
	relay session.Relay

	// refuse decides whether it accepts another stream. Nil is yes.
	refuse func(ctx context.Context) error

	mu sync.Mutex
	// stream is the newest.
	stream *fake.Stream
	// offers are the epochs that the session has opened.
	offers []uint64
	// got are the numbered frames of the session, each once. signs counts the frames
	// without a number, repeats the others that have come again, and goodbyes those
	// that say so.
	got                      []*ptypes.Packet
	signs, repeats, goodbyes int
	// sent are the numbered frames that the session was given, and parcels their number.
	sent    []*ptypes.Packet
	parcels uint64
	// blocked, if it is not nil, is closed when the neighbour reads again. Until then it
	// has room for a frame, and says no more than read.
	blocked chan struct{}
	room    bool
	read    int
	// held is how many connections the session has, and evicted how many it gave up.
	held, evicted int
}

// served is a stream that a session has been given, and what is closed when its Listen
// returns.
type served struct {
	stream *fake.Stream
	over   <-chan struct{}
}

// parent registers with a session a parent that dials it.
func (w *world) parent(sess session.Session, gw mino.Address, table router.RoutingTable) *neighbour {
	n := w.stranger(sess, gw, table)
	_, ok := n.dial()
	require.True(w, ok)

	return n
}

// stranger returns one that may become a parent of a session by dialling it.
func (w *world) stranger(sess session.Session, gw mino.Address, table router.RoutingTable) *neighbour {
	n := &neighbour{world: w, addr: gw, sess: sess, table: table, id: fmt.Sprintf("%032x", len(w.cleanup))}

	w.cleanup = append(w.cleanup, func() {
		for _, s := range n.served {
			s.stream.End(io.EOF)
			n.sess.Close()
			<-s.over
		}
	})

	return n
}

// dial opens the next stream, and returns a channel that is closed when Listen returns,
// and whether the session has accepted it. What the session says that it has not
// received comes again.
func (n *neighbour) dial() (returned <-chan struct{}, ok bool) {
	n.epoch++

	return n.dialAs(n.addr, n.epoch, n.confirmed())
}

// tryDial is dial for one that only wants to know whether it is accepted.
func (n *neighbour) tryDial() bool {
	_, ok := n.dial()

	return ok
}

// dialAs is dial with whatever the neighbour pretends.
func (n *neighbour) dialAs(gw mino.Address, epoch, received uint64) (returned <-chan struct{}, ok bool) {
	offer := fmt.Sprintf("duplex-1;id=%s;epoch=%d;received=%d;frame=262144;format=tree1", n.id, epoch, received)
	before := n.current()
	stream := n.open()

	relay, ok := session.AcceptRelay(stream, gw, metadata.Pairs(session.LinkKey, offer))
	require.True(n, ok)

	over := make(chan struct{})

	n.served = append(n.served, served{stream, over})

	registration, err := n.sess.(session.Registrar).Register(relay, n.table)
	if err != nil {
		stream.End(io.EOF)
		close(over)
		n.mu.Lock()
		n.stream = before
		n.mu.Unlock()

		return over, false
	}

	go func() {
		defer close(over)

		_ = registration.Wait()
		// As a server does when the call returns.
		stream.End(io.EOF)
	}()

	n.repeat(field(relay.Header(), "received"))

	return over, true
}

// rooted returns the session of an orchestrator that has dialled a root.
func (w *world) rooted(opts ...session.Option) (session.Session, *neighbour) {
	me := session.NewOrchestratorAddress(addr("o"))
	n := &neighbour{world: w, addr: addr("root"), sess: w.session(me, opts...)}

	relay, err := session.DialRelay(w.Context(), n.addr, json.NewContext(), routerOf(3).GetPacketFactory(), n.accept)
	require.NoError(w, err)

	n.relay = relay
	ready, over := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(over)

		n.sess.Listen(relay, w.table(3, me), ready)
	}()

	<-ready

	n.cleanup = append(n.cleanup, func() {
		n.current().End(io.EOF)
		n.sess.Close()
		<-over
	})

	return n.sess, n
}

// accept implements session.StreamOpener.
func (n *neighbour) accept(ctx context.Context, offer metadata.MD) (session.OpenStream, error) {
	n.mu.Lock()
	n.offers = append(n.offers, field(offer, "epoch"))
	received, refuse := len(n.got), n.refuse
	n.mu.Unlock()

	if refuse != nil {
		if err := refuse(ctx); err != nil {
			return session.OpenStream{}, err
		}
	}

	stream := n.open()
	answer := fmt.Sprintf("duplex-1;received=%d;frame=262144;format=tree1;session=1", received)

	return session.OpenStream{
		Stream:  openerStream{stream},
		Header:  metadata.Pairs(session.LinkKey, answer),
		Release: func() { stream.End(context.Canceled) },
	}, nil
}

// openerStream is the stream of one that has opened it, whose other end returns when it
// says that no more will come.
type openerStream struct{ *fake.Stream }

func (s openerStream) CloseSend() error {
	s.End(io.EOF)

	return nil
}

// open returns the next stream.
func (n *neighbour) open() *fake.Stream {
	stream := fake.NewStream(func(frame *ptypes.Packet) error {
		n.wait()
		n.take(proto.CloneOf(frame))

		return nil
	})

	n.mu.Lock()
	defer n.mu.Unlock()

	n.stream = stream

	return stream
}

func (n *neighbour) current() *fake.Stream {
	n.mu.Lock()
	defer n.mu.Unlock()

	return n.stream
}

// field returns a number in the value of session.LinkKey.
func field(md metadata.MD, name string) uint64 {
	for part := range strings.SplitSeq(strings.Join(md.Get(session.LinkKey), ""), ";") {
		if text, ok := strings.CutPrefix(part, name+"="); ok {
			number, _ := strconv.ParseUint(text, 10, 64) // The test looks at it.

			return number
		}
	}

	return 0
}
