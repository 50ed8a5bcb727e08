package session

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/metadata"
)

// HandshakeKey is the metadata key of the handshake that a parent sends to a
// child when it opens the stream.
const HandshakeKey = "handshake"

// Session is one node's part in one distributed RPC: it sends and receives the
// messages of the application and passes on those of the others. All methods may
// be called from several goroutines at once.
//
// Send has no route before a parent is registered. It never waits: past a bound the
// outcome is [ReasonOverflow], and the message is gone; see [WithOutboxLimits].
type Session interface {
	mino.Sender
	mino.Receiver

	// GetNumParents returns the number of parents that are registered, the lost one of
	// a session that waits to be adopted included.
	GetNumParents() int

	// Listen registers a parent with its routing table, closes ready, and reads the
	// parent's stream until that ends, the session is closed, or the same parent is
	// registered again. The parent is no parent any more when Listen returns, unless another
	// stream of the same duplex link has replaced this one. Listen treats the packets that come
	// over the stream as RecvPacket does.
	//
	// It closes ready in every case, also when the session does not take the parent because
	// it is closed or the relay is of no use; it then returns at once. GetNumParents says
	// whether there is a parent, and [Registrar] why there is none. A nil ready is allowed.
	Listen(parent Relay, table router.RoutingTable, ready chan struct{})

	// SetPassive registers a parent whose stream somebody else reads. It stays
	// registered until the session is closed. What comes over its stream must be
	// given to RecvPacket.
	SetPassive(parent Relay, table router.RoutingTable)

	// Close ends the session. What waits for a neighbour is given up to a second to
	// be sent, then everything is released in the background; [Lifecycle] tells
	// when. It may be called at any moment and more than once.
	//
	// When it returns, the connections of the children that take packets in calls have been
	// released. It waits for them up to 3 seconds, as long as a neighbour may take for the
	// last calls and for the end of its stream. Duplex links end after it has returned.
	Close()

	// RecvPacket takes a packet that a neighbour has sent, puts it into the queue if
	// it is for this node, and sends it on to the others that it is for. It returns
	// when the outcome of every destination is known, with one error text in the
	// Ack for each that was not reached.
	//
	// It returns an error that wraps [ErrClosed] when the session is closing: the answer
	// is Unavailable then, and the neighbour looks for another way. So it does where the
	// error wraps [ErrStranger] and not [ErrSource], and the answer is PermissionDenied.
	// Any other is about the packet, which cannot be decoded, has come before there is a
	// parent or names an impossible source, and the answer must be InvalidArgument: for
	// most other codes, as for the Unknown of a plain error, the neighbour takes this node
	// for lost.
	RecvPacket(from mino.Address, p *ptypes.Packet) (*ptypes.Ack, error)
}

// Lifecycle is implemented by the sessions that [NewSession] returns. It is for
// the overlay that runs them.
type Lifecycle interface {
	// CloseRecv ends the receiving part of the session: Recv gives what is queued
	// and then io.EOF, and packets for this node are refused as closed, while those
	// for others are still passed on. An overlay calls it when the handler returns.
	CloseRecv()

	// CloseWithError is Close, and makes Recv return the cause instead of io.EOF
	// after what is queued. The first cause counts. A nil cause is none.
	CloseWithError(cause error)

	// Leave is CloseWithError for a node that goes away while the stream goes on. It
	// says no goodbye to the children, so that they wait to be adopted by another
	// node. A root is the exception: the stream is over with it.
	Leave(cause error)

	// Err returns what the session was closed with, or nil while it is open and after
	// a clean end. When the last parent was lost it says how; the outcomes of what was
	// under way then, or is sent later, may only say that the session is closed.
	Err() error

	// Done returns a channel that is closed when the session has been closed and
	// its last goroutine, stream and connection have been released.
	Done() <-chan struct{}
}

// session implements Session and Lifecycle. Its parts own what they know, and each says whether it
// belongs to mu; only session takes that lock.
//
// Locks are taken in this order: mu, then the lock of a link or of the queue. No lock is held
// while outcomes are told or user code runs, except code of the router (tables, packets,
// addresses), which runs under mu.
type session struct {
	config

	me     mino.Address
	meKey  string
	msgFac serde.Factory
	ctx    serde.Context

	framing  framing
	dialler  dialler
	witness  witness
	reporter reporter

	// done is closed when the session is closed and alive is zero.
	done chan struct{}

	// mu is the sequencer: what is done in one hold of it is one step in the order
	// of the packets. The routing tables are called under it.
	mu        sync.Mutex
	numbering numbering
	mailbox   mailbox
	screen    screen
	parents   parents
	children  children
	closed    bool
	// leftLinks are the links to children that the session had when it was closed.
	leftLinks []*link.Link
	// cause is what the session was closed with.
	cause error
	// alive counts the links and readers that have not ended yet.
	alive int
}

// NewSession returns a session without parents. The metadata has apiuri, streamid and protocol,
// and none of gateway, handshake and addr. The session sends it with every stream and call to a
// child, and adds the gateway and the handshake. The connections to children come from the
// manager.
func NewSession(md metadata.MD, me mino.Address, msgFac serde.Factory, pktFac router.PacketFactory,
	ctx serde.Context, connMgr ConnectionManager, opts ...Option,
) Session {
	s := &session{
		config:   newConfig(opts),
		me:       unwrapAddress(me),
		msgFac:   msgFac,
		ctx:      ctx,
		done:     make(chan struct{}),
		children: make(children),
	}

	// An address without a text fails when the first packet is for it.
	s.meKey, _ = keyOf(s.me)
	s.screen.on, s.screen.me = s.neighborsOnly, s.meKey

	s.mailbox.queue = inbox.New(s.queuePackets, s.queueBytes, s.memory())
	s.witness.logger, s.witness.observer = s.logger, s.observer
	s.witness.queue, s.witness.leave = s.mailbox.queue, s.Leave
	s.reporter = reporter{me: s.me, meKey: s.meKey, witness: &s.witness}

	s.numbering.hopLimit, s.numbering.outcome = s.hopLimit, s.outcome
	// It never fails, and a weak identity would be worse than none.
	_, _ = rand.Read(s.numbering.origin[:])

	var err error

	s.framing, err = newFraming(&s.config, pktFac, ctx, s.numbering.origin[:])
	s.dialler = dialler{
		md: md.Copy(), me: s.me, ctx: ctx, connMgr: connMgr,
		framing: &s.framing, witness: &s.witness, noDuplex: s.noDuplex,
	}

	s.witness.fault(err)

	return s
}

// Close implements Session.
func (s *session) Close() {
	s.CloseWithError(nil)
}

// CloseWithError implements Lifecycle.
func (s *session) CloseWithError(cause error) {
	s.closeWith(cause, (*link.Link).Close)
}

// Leave implements Lifecycle.
func (s *session) Leave(cause error) {
	s.mu.Lock()
	root := slices.ContainsFunc(s.parents, func(par *parent) bool { return isOrchestrator(par.addr) })
	s.mu.Unlock()

	if root {
		s.CloseWithError(cause)
	} else {
		s.closeWith(cause, (*link.Link).Leave)
	}
}

// closeWith ends the session, and parts from the children in one way or the other.
func (s *session) closeWith(cause error, part func(*link.Link)) {
	s.mu.Lock()
	s.closeLocked(cause, part)
	left := s.leftLinks
	s.mu.Unlock()

	timer := time.NewTimer(closeWait)
	defer timer.Stop()

	for _, l := range left {
		if l.Duplex() {
			continue
		}

		select {
		case <-l.Released():
		case <-timer.C:
			return
		}
	}
}

// closeWait is how long Close waits for the connections of unicast links: as long as their
// goodbye takes at most, and a bit.
const closeWait = 2*link.Goodbye + time.Second

// closeLocked closes the session, unless it is closed. Everything ends in this one step:
// the timers of parents and children, which look at the same fields, find either all of
// it or nothing. The links only begin to end here, and wait for nobody under the lock.
func (s *session) closeLocked(cause error, part func(*link.Link)) {
	if s.closed {
		return
	}

	s.closed = true
	s.cause = cause
	s.mailbox.queue.Close(cause)
	s.mailbox.queue.LeaveBudget()

	s.leftLinks = s.children.end()
	for _, l := range s.leftLinks {
		part(l)
	}

	for _, par := range s.parents {
		par.end()
	}

	s.parents, s.children = nil, nil
	s.finishLocked()
}

// Err implements Lifecycle.
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.cause
}

// CloseRecv implements Lifecycle.
func (s *session) CloseRecv() {
	s.mu.Lock()
	s.mailbox.recvClosed = true
	s.mu.Unlock()

	s.mailbox.queue.Close(nil)
}

// Done implements Lifecycle.
func (s *session) Done() <-chan struct{} {
	return s.done
}

// ended is called when a link or a reader has ended.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.alive--
	s.finishLocked()
}

// finishLocked notes the end of the session.
func (s *session) finishLocked() {
	if s.closed && s.alive == 0 {
		close(s.done)
	}
}
