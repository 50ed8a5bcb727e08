package session

import (
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/deadline"
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

// Session is one node's part in one distributed RPC. It sends and receives the messages of the
// application, and passes on those of other nodes. All methods may be called from several
// goroutines at once.
//
// A [*MessageError] of Recv is about one message. Recv goes on after it.
//
// Send has no route before a parent is registered. It never waits: past a bound the outcome is
// [ReasonOverflow], and the message is dropped; see [WithOutboxLimits].
type Session interface {
	mino.Sender
	mino.Receiver

	// GetNumParents returns the number of registered parents. A lost parent still counts while the
	// session waits for it, or for another node to adopt the session.
	GetNumParents() int

	// Listen registers a parent with its routing table and closes ready. Then it reads the parent's
	// stream until the stream ends, the session is closed, or the same parent is registered again.
	// When Listen returns, the parent is no longer registered, unless another stream of the same
	// duplex link has replaced this one. Listen treats the packets that come over the stream as
	// RecvPacket does.
	//
	// Listen closes ready in every case. If the session is closed or the relay cannot be used,
	// Listen does not take the parent, and returns at once. GetNumParents says whether there is a
	// parent, and [Registrar] why there is none. A nil ready is allowed.
	Listen(parent Relay, table router.RoutingTable, ready chan struct{})

	// SetPassive registers a parent whose stream the overlay reads itself. The overlay must pass
	// what comes over the stream to RecvPacket. The parent stays registered until the session is
	// closed.
	SetPassive(parent Relay, table router.RoutingTable)

	// Close ends the session. Packets that wait for a neighbour have up to a second to leave. After
	// that the session releases everything in the background; [Lifecycle] tells when it is done.
	// Close may be called at any moment and more than once.
	//
	// Before Close returns, it releases the connections of the children that take packets in calls.
	// It waits for them up to 3 seconds, as long as a neighbour may take for the last calls and for
	// the end of its stream. Duplex links end after Close has returned.
	Close()

	// RecvPacket takes a packet that a neighbour has sent in a call. It puts the packet into the
	// queue if it is for this node, and sends it on to its other destinations. It returns when
	// the outcome of every destination is known. The Ack has one error text for each destination
	// that was not reached. If there are more than a hundred of those, and the packet comes from a
	// node of this library, the Ack has only typed failures.
	//
	// The error has a gRPC status, which is the answer to the call:
	//
	//   - Unavailable if it wraps [ErrClosed]: the session is closing, and the neighbour looks
	//     for another way;
	//   - PermissionDenied if it wraps [ErrStranger] and not [ErrSource]; the neighbour looks
	//     for another way, too;
	//   - InvalidArgument for any other error, which is about the packet: it cannot be decoded,
	//     has come before there is a parent, or names an impossible source.
	//
	// If the error wraps [ErrNotTaken], the trailer of the call has [LinkRefused].
	//
	// For most other codes, such as the Unknown of a plain error, the neighbour takes this node
	// for lost. So an overlay that wraps the error keeps its status.
	RecvPacket(from mino.Address, p *ptypes.Packet) (*ptypes.Ack, error)
}

// Lifecycle is implemented by the sessions that [NewSession] returns. The overlay that runs the
// sessions uses it.
type Lifecycle interface {
	// CloseRecv ends the receiving part of the session. The session drops what is queued, because
	// nobody reads it any more, and Recv returns io.EOF. The session refuses packets for this node
	// as closed, and still passes on packets for other nodes. An overlay calls CloseRecv when the
	// handler returns.
	CloseRecv()

	// CloseWithError is Close, and makes Recv return the cause instead of io.EOF after what is
	// queued. The first cause counts. A nil cause means a clean end, and so does one that wraps
	// io.EOF. If a message fails because of the end, its outcome names the cause, also that of a
	// clean end.
	CloseWithError(cause error)

	// Leave is CloseWithError for a node that goes away while the stream goes on. The session says
	// no goodbye to the children, so that they wait for another node to adopt them. At a root Leave
	// is the same as CloseWithError, because the stream is over without a root.
	Leave(cause error)

	// Err returns the cause with which the session was closed. It returns nil while the session is
	// open and after a clean end. If the last parent was lost, Err says how, and so do the outcomes
	// of messages that were under way at that time, or are sent later.
	Err() error

	// Closed returns a channel that is closed when the session is: from then on Recv only returns what is
	// queued, and then why the session was closed. Recv does not wait any more.
	Closed() <-chan struct{}

	// Done returns a channel that is closed when the session has been closed and
	// its last goroutine, stream and connection have been released.
	Done() <-chan struct{}
}

// Ancestry is implemented by the sessions that [NewSession] returns.
type Ancestry interface {
	// Parent returns the address of the parent that the session uses for what goes up, or nil while
	// there is none. At a root that is the address of an orchestrator. It is the address that the
	// overlay has registered; the overlay decides whether it checks that the node there has proved
	// to have that address.
	Parent() mino.Address

	// Children returns the addresses of the neighbours that have taken a stream from this session and
	// are not lost, as followers, in the order of their texts. There are none once the session is
	// closed.
	Children() []mino.Address
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
	name   name
	msgFac serde.Factory
	ctx    serde.Context

	// begun is when the session was made.
	begun time.Time

	framing  framing
	dialler  dialler
	witness  witness
	reporter reporter

	// maker is the parent whose table makes packets before the lock is taken. It is nil before the first
	// Send, and where the table does not do that.
	maker atomic.Pointer[parent]

	// over is closed when the session is closed, and done when alive is zero, too.
	over, done chan struct{}

	// mu is the sequencer: what is done in one hold of it is one step in the order
	// of the packets. The routing tables are called under it.
	mu        sync.Mutex
	numbering numbering
	mailbox   mailbox
	newsroom  newsroom // It has a lock of its own.
	screen    screen
	parents   parents
	children  children
	closed    bool
	// turns are made for the first dial.
	turns []*link.Turns
	// cut is set while all parents are cut, which the children have been told.
	cut bool
	// leftLinks are the links to children that the session had when it was closed.
	leftLinks []*link.Link
	// cause is what the session was closed with, unless that is a clean end. reason also says why
	// there was a clean end, if the overlay has said so.
	cause, reason error
	// alive counts the links and readers that have not ended yet.
	alive int
	// tenure is the number of the last registration, if there are news.
	tenure uint64
}

// NewSession returns a session without parents. The metadata has apiuri, streamid and protocol, and may
// have [AncestorKey], [OrchestratorKey] and [NewsKey], but not gateway, handshake or addr. The session
// sends it with every stream and call to a child, and adds the gateway and the handshake. The session
// gets the connections to children from the manager.
func NewSession(md metadata.MD, me mino.Address, msgFac serde.Factory, pktFac router.PacketFactory,
	ctx serde.Context, connMgr ConnectionManager, opts ...Option,
) Session {
	s := &session{
		config:   newConfig(opts),
		me:       unwrapAddress(me),
		msgFac:   msgFac,
		ctx:      ctx,
		begun:    time.Now(),
		over:     make(chan struct{}),
		done:     make(chan struct{}),
		children: make(children),
	}

	// An address without a text fails when the first packet is for it.
	s.meKey, _ = keyOf(s.me)
	s.mailbox.key = s.meKey
	s.mailbox.queue = inbox.New(s.queuePackets, s.queueBytes, s.memory())
	s.gatherNews(md)

	s.screen.on, s.screen.me, s.screen.sources = s.neighborsOnly, s.meKey, s.sources
	s.screen.remembers = s.neighborsOnly || s.newsroom.isOpen()
	s.witness.stream = ReadStreamInfo(md, s.me)
	s.witness.logger, s.witness.observer = s.witness.stream.Logger(s.logger), s.observer
	s.witness.tracer = s.tracer
	s.witness.queue, s.witness.leave = s.mailbox.queue, s.Leave
	s.reporter = reporter{me: s.me, meKey: s.meKey, witness: &s.witness}

	s.numbering.hopLimit, s.numbering.outcome = s.hopLimit, s.outcome
	// It never fails, and a weak identity would be worse than none.
	_, _ = rand.Read(s.numbering.origin[:])

	var err error

	s.framing, err = newFraming(&s.config, pktFac, ctx, s.numbering.origin[:])
	s.dialler = dialler{
		md: maps.Clone(md), me: s.me, ctx: ctx, connMgr: connMgr,
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

// closeWith ends the session, and parts from each child with a goodbye or without.
func (s *session) closeWith(cause error, part func(*link.Link)) {
	var e effects

	// The cause may not be ours, and is not asked under the lock.
	clean := errors.Is(cause, io.EOF)

	s.mu.Lock()
	s.endReportsLocked(&e)
	s.closeLocked(cause, clean, part)
	left := s.leftLinks
	s.mu.Unlock()

	s.reporter.carryOut(&e)

	left = slices.DeleteFunc(slices.Clone(left), (*link.Link).Duplex)
	if len(left) == 0 {
		return
	}

	patience, over := deadline.After(closeWait)
	defer patience.Stop()

	for _, l := range left {
		select {
		case <-l.Released():
		case <-over:
			return
		}
	}
}

// closeWait is how long Close waits for the connections of unicast links: somewhat longer than
// their goodbye may take.
const closeWait = 2*link.Goodbye + time.Second

// closeLocked closes the session, unless it is closed. Everything ends in this one step, so that a
// timer of a parent or child finds either a session that is open or one that is closed. The links
// only begin to end here: nothing waits under the lock.
func (s *session) closeLocked(cause error, clean bool, part func(*link.Link)) {
	if s.closed {
		return
	}

	s.closed = true
	s.reason = cause

	if !clean {
		s.cause = cause
	}

	s.mailbox.queue.Close(s.cause)
	s.mailbox.queue.LeaveBudget()
	// After the queue: who hears of this finds a queue that is closed.
	close(s.over)
	s.mailbox.seen.Forget()
	s.newsroom.close()

	if s.mailbox.roster != nil {
		s.mailbox.roster.leaveBudget()
	}

	s.leftLinks = s.children.end()
	for _, l := range s.leftLinks {
		part(l)
	}

	for _, par := range s.parents {
		par.end()
	}

	s.parents, s.children = nil, nil
	s.maker.Store(nil)
	s.finishLocked()
}

// end returns what is said about packets that the end of the session has cost.
func (s *session) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.endLocked()
}

// endLocked is end under the lock. It says why the session has ended, if that is known.
func (s *session) endLocked() error {
	if s.reason == nil {
		return errCanceled
	}

	return endError{s.reason}
}

// Err implements Lifecycle.
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.cause
}

// Parent implements Ancestry.
func (s *session) Parent() mino.Address {
	s.mu.Lock()
	defer s.mu.Unlock()

	par := s.parents.preferred()
	if par == nil {
		return nil
	}

	return par.addr
}

// Children implements Ancestry.
func (s *session) Children() []mino.Address {
	s.mu.Lock()
	peers := s.children.reached()
	s.mu.Unlock()

	// The addresses may be code of the router.
	for i, peer := range peers {
		peers[i] = FollowerOf(peer)
	}

	return peers
}

// CloseRecv implements Lifecycle.
func (s *session) CloseRecv() {
	s.mu.Lock()
	s.mailbox.recvClosed = true
	s.mu.Unlock()

	s.mailbox.queue.Close(nil)
	s.mailbox.queue.Discard()
}

// Closed implements Lifecycle.
func (s *session) Closed() <-chan struct{} {
	return s.over
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
