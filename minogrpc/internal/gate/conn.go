package gate

import (
	"net"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What an unproved peer may put into one block of headers. A node that joins takes a tenth of it.
const (
	strangerBlock  = 8 << 10
	strangerFields = 128
)

const (
	// lightWeight is what a block may weigh without being charged to anybody: some hundred fields. One
	// of a stranger is lighter.
	lightWeight = 64 << 10

	// fewFrames is how many frames a block may have beside one for each frameBytes. Clients fill each
	// frame but the last, with 16 KiB.
	fewFrames  = 16
	frameBytes = 1 << 10

	// shortPause is for how long a connection need not wait, as there are no shorter timers to speak of.
	shortPause = 10 * time.Millisecond

	// longPause is how much longer than half of the time a connection may be made to wait.
	longPause = 2 * time.Second

	// smallWork is what is added up before the bucket of the host is asked: a few calls.
	smallWork = 64
)

var (
	errStrangerHeaders = status.Error(codes.ResourceExhausted, "a stranger has sent too many headers")
	errManyFrames      = status.Error(codes.ResourceExhausted, "headers in too many frames")
	errBusyHeaders     = status.Error(codes.ResourceExhausted, "too many headers for too long")
	errSlowHeaders     = status.Error(codes.ResourceExhausted, "headers have not been completed in time")
	errLongHeaders     = status.Error(codes.ResourceExhausted, "headers are longer than the metadata limit")
)

// Rules are what all the connections of a node are held to. The fields do not change.
type Rules struct {
	// Longest is the size of a block of headers on the wire, in bytes.
	Longest int

	// StrangerPatience is how long a block of an unproved peer may take, and Patience one of
	// another peer, if it has more than one frame.
	StrangerPatience, Patience time.Duration

	// MessagePatience is how long nothing may come of a message that has begun.
	MessagePatience time.Duration

	// Work has a bucket for each host. It holds a token for each field that is decoded beyond those of
	// any call, and for other frames that cost as much. Nil stands for no bound.
	Work *Buckets

	// Arrival is what a connection costs in the same way, and Refusal what it costs to end one: else a
	// peer that is refused comes again at once, and the server is busy with new connections.
	Arrival, Refusal int

	// AllWork has one bucket for all the hosts. Only heavy ones wait for it. Nil stands for no bound.
	AllWork *Buckets
}

// Peer is the other end of a connection, as the owner of the connection knows it. The methods may be
// called from several goroutines at once.
type Peer interface {
	// Host is the host whose work it is.
	Host() string

	// Unproved tells whether the peer is in the cell.
	Unproved() bool

	// Known asks again whether that has become wrong, before the peer is refused for it.
	Known() bool

	// Claim takes memory for headers that are about to be decoded, in bytes. It returns an error
	// with a status when there is too little.
	Claim(bytes int) error

	// Unclaim gives all of that back.
	Unclaim()

	// ClaimMessages takes memory for messages that have come in part, in bytes. It returns an error
	// with a status when there is too little.
	ClaimMessages(bytes int) error

	// UnclaimMessages gives some of that back.
	UnclaimMessages(bytes int)

	// Refuse closes the connection.
	Refuse(cause error)

	// Done is closed when the connection has been closed.
	Done() <-chan struct{}
}

// Conn is a connection on which an HTTP/2 client sends, above TLS if there is any. It counts the
// headers before anybody decodes them, and what has come of the messages that are not complete. Read
// is for one goroutine at a time.
type Conn struct {
	net.Conn

	rules Rules
	peer  Peer

	messages *messages
	frames   frames
	// claimed is what has been claimed for the blocks since the last time that none was under way.
	claimed int
	// done is the work of the last block that has been taken into account, and owed what is not
	// yet in the bucket.
	done, owed int
	// paused is for how long the connection has been made to wait, less half of the time since, and
	// last when that was.
	paused time.Duration
	last   time.Time

	mu sync.Mutex
	// end closes the connection when a block takes too long. It is nil while none is under way.
	end *deadline.Deadline
}

// NewConn returns the connection with the rules.
func NewConn(inner net.Conn, rules Rules, peer Peer) *Conn {
	m := newMessages(rules.MessagePatience)

	return &Conn{
		Conn: inner, rules: rules, peer: peer, messages: m, frames: newFrames(m), owed: rules.Arrival,
	}
}

// Read implements net.Conn. Where a peer has more decoded than it may, its bytes come later.
func (c *Conn) Read(p []byte) (int, error) {
	// The server asks for more when it has decoded what it has.
	if c.claimed > 0 && c.frames.block.Ended {
		c.claimed = 0
		c.peer.Unclaim()
	}

	n, err := c.Conn.Read(p)

	refusal := c.frames.read(p[:n], c.headers)
	c.owed += c.frames.work
	c.frames.work = 0

	if refusal == nil {
		refusal = c.messages.settle(c.peer, c.peer.Refuse)
	}

	if refusal == nil {
		refusal = c.pause()
	}

	if refusal != nil {
		c.spend(c.owed + c.rules.Refusal)
		c.stopTimer()
		c.peer.Refuse(refusal)

		return 0, refusal
	}

	return n, err
}

// Write implements net.Conn. It is for one goroutine at a time.
func (c *Conn) Write(p []byte) (int, error) {
	c.messages.written(p)

	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.stopTimer()
	c.messages.stop()

	return c.Conn.Close()
}

// headers decides about a block of which more has come.
func (c *Conn) headers(b Block) error {
	unproved := c.peer.Unproved()

	switch {
	case unproved && (b.Bytes > strangerBlock || b.Fields > strangerFields) && !c.peer.Known():
		return errStrangerHeaders
	case b.Bytes > c.rules.Longest:
		return errLongHeaders
	case b.Frames > fewFrames+b.Bytes/frameBytes:
		return errManyFrames
	case b.Ended:
		c.stopTimer()
	case unproved:
		c.startTimer(c.rules.StrangerPatience)
	case !b.Last:
		c.startTimer(c.rules.Patience)
	}

	if b.Work < c.done {
		c.done = 0
	}

	c.owed += b.Work - c.done
	c.done = b.Work

	if b.Ended {
		c.done = 0
	}

	return c.weigh(b)
}

// weigh claims the memory of a block of which more has come.
func (c *Conn) weigh(b Block) error {
	weight := b.Weight() - lightWeight
	if weight <= c.claimed {
		return nil
	}

	if err := c.peer.Claim(weight - c.claimed); err != nil {
		return err
	}

	c.claimed = weight

	return nil
}

// pause waits until the host has paid for the work. It returns an error when the connection waits most
// of the time: nobody would notice that its peer has gone, with so much still to come.
func (c *Conn) pause() error {
	if c.owed < smallWork || c.rules.Work == nil {
		return nil
	}

	wait := c.spend(c.owed)
	c.owed = 0

	if wait <= shortPause {
		return nil
	}

	begun := time.Now()
	c.paused = max(0, c.paused-begun.Sub(c.last)/2)
	timer := time.NewTimer(min(wait, longPause))

	defer timer.Stop()

	select {
	case <-timer.C:
	case <-c.peer.Done():
	}

	c.last = time.Now()
	c.paused += c.last.Sub(begun)

	if c.paused >= longPause {
		return errBusyHeaders
	}

	return nil
}

// spend takes work out of the buckets, and returns how long the host has to wait for that.
func (c *Conn) spend(work int) time.Duration {
	if c.rules.Work == nil {
		return 0
	}

	wait, heavy := c.rules.Work.Spend(c.peer.Host(), work)

	if c.rules.AllWork != nil {
		if all, _ := c.rules.AllWork.Spend("", work); heavy {
			wait = max(wait, all)
		}
	}

	return wait
}

// startTimer bounds what a block may take, unless that has been done.
func (c *Conn) startTimer(patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.end == nil {
		c.end = deadline.Start(patience, patience, func() { c.peer.Refuse(errSlowHeaders) })
	}
}

func (c *Conn) stopTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.end != nil {
		c.end.Stop()
		c.end = nil
	}
}
