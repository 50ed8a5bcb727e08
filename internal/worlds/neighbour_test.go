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

// neighbour is the other end of a duplex link, which the test plays frame by frame. Either it
// dials the session as a parent, or the session dials it.
type neighbour struct {
	*world

	addr mino.Address

	// id and epoch are what it offers. sess and table are those of its registration.
	id    string
	epoch uint64
	sess  session.Session
	table router.RoutingTable
	// served are the streams that it has opened.
	served []served

	// relay is the session's end, if the session dialled.
	relay session.Relay

	// plain neighbours have no capabilities. cut is set in all that a parent says.
	plain, cut bool

	// refuse decides whether it refuses another stream. If nil, it accepts all.
	refuse func(ctx context.Context) error

	mu sync.Mutex
	// stream is the newest stream.
	stream *fake.Stream
	// offers are the epochs of the streams that the session has opened.
	offers []uint64
	// got are the numbered frames of the session, each once. signs counts the frames without a
	// number, repeats the numbered ones that came again, and goodbyes the frames that say
	// goodbye.
	got                      []*ptypes.Packet
	signs, repeats, goodbyes int
	// told is what the frames of the session have said about its way up, each change once.
	told []bool
	// sent are the numbered frames that went to the session. parcels counts their parcels.
	sent    []*ptypes.Packet
	parcels uint64
	// blocked is not nil while the neighbour does not read, and unblock closes it. Until then
	// the stream has room for one frame, and the neighbour confirms no frame after read.
	blocked chan struct{}
	room    bool
	read    int
	// held counts the connections that the session holds, evicted those that it gave up.
	held, evicted int
}

// served is a stream that the session serves. over is closed when its registration ends.
type served struct {
	stream *fake.Stream
	over   <-chan struct{}
}

// parent registers a parent that dials the session.
func (w *world) parent(sess session.Session, gw mino.Address, table router.RoutingTable) *neighbour {
	n := w.stranger(sess, gw, table)
	_, ok := n.dial()
	require.True(w, ok)

	return n
}

// stranger returns a neighbour that may become a parent of a session by dialling it.
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

// dial opens the next stream. It returns a channel that is closed when the registration ends,
// and whether the session has accepted the stream. The neighbour then repeats the frames that
// the session has not received.
func (n *neighbour) dial() (returned <-chan struct{}, ok bool) {
	n.epoch++

	return n.dialAs(n.addr, n.epoch, n.confirmed())
}

// tryDial is dial for a test that only asks whether the session accepts the stream.
func (n *neighbour) tryDial() bool {
	_, ok := n.dial()

	return ok
}

// dialAs is dial with any address and numbers, true or not.
func (n *neighbour) dialAs(gw mino.Address, epoch, received uint64) (returned <-chan struct{}, ok bool) {
	offer := fmt.Sprintf("duplex-1;id=%s;epoch=%d;received=%d;frame=262144;format=tree1", n.id, epoch, received)
	if !n.plain {
		offer += ";can=cut"
	}

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
		// A server ends the stream, too, when the call returns.
		stream.End(io.EOF)
	}()

	n.repeat(field(relay.Header(), "received"))

	return over, true
}

// rooted returns the session of an orchestrator, and the root that it has dialled.
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
	if !n.plain {
		answer += ";can=cut"
	}

	return session.OpenStream{
		Stream:  openerStream{stream},
		Header:  metadata.Pairs(session.LinkKey, answer),
		Release: func() { stream.End(context.Canceled) },
	}, nil
}

// openerStream is the opener's end of a stream. CloseSend ends the whole stream, because the
// other end returns then.
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

// field returns the number in one field of the link metadata.
func field(md metadata.MD, name string) uint64 {
	for part := range strings.SplitSeq(strings.Join(md.Get(session.LinkKey), ""), ";") {
		if text, ok := strings.CutPrefix(part, name+"="); ok {
			number, _ := strconv.ParseUint(text, 10, 64) // The test checks the number.

			return number
		}
	}

	return 0
}
