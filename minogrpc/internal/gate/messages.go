package gate

import (
	"encoding/binary"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// freeMessages is what the incomplete messages of a connection may take without being charged to
	// anybody, in bytes, and messageBlock how much is charged at once.
	freeMessages = 64 << 10
	messageBlock = 256 << 10

	// messagePrefix is what gRPC puts before a message: a flag, and the size.
	messagePrefix = 5

	// perPiece is what a frame of a message takes beside its bytes.
	perPiece = 128

	// turn is how much may come of one message before the next one is served, in bytes. A client
	// sends 16 KiB of each in turn.
	turn = 32 << 10
)

var errStalled = status.Error(codes.ResourceExhausted, "messages have begun, and nothing more of them comes")

// messages keeps account of what has come of the messages that are not complete: gRPC collects them
// for the calls of a connection, and nobody else knows of them until they are. It may be used by the
// reader and the writer of the connection at once.
type messages struct {
	patience time.Duration

	mu sync.Mutex
	// calls are those that the client has begun, and nobody has ended.
	calls map[uint32]*call
	// held is what their incomplete messages take, open how many these are, and claimed what has been
	// claimed for them, in bytes.
	held, open, claimed int
	// came is how much has come of all messages, and last when.
	came uint64
	last time.Time
	// timer looks for messages that make no progress. It is nil while little is held.
	timer *time.Timer
	ended bool

	// ends finds the ends of calls in what the server writes.
	ends writes
}

// call is one that has not ended.
type call struct {
	// known is how many bytes of the prefix have come, and left what is missing of the message.
	prefix [messagePrefix]byte
	known  int
	left   uint64

	// held is what the call takes. kept is the part of it that is in complete messages: gRPC reads one,
	// and no others until the server answers.
	held, kept int
	// first is false once a message has come, and answered true once the server has said something.
	first, answered bool

	// progress is when something of the message has come the last time, and came what had come then
	// over the connection.
	progress time.Time
	came     uint64
}

func newMessages(patience time.Duration) *messages {
	return &messages{patience: patience, calls: make(map[uint32]*call)}
}

// begin notes the headers of a call, or those at its end.
func (m *messages) begin(id uint32, end bool) {
	m.mu.Lock()
	defer m.mu.Unlock()

	switch {
	case end:
		m.finishLocked(id)
	case m.calls[id] == nil:
		m.calls[id] = &call{first: true}
	}
}

// end notes that a call has ended.
func (m *messages) end(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.dropLocked(id)
}

// finish notes that the client sends no more in a call.
func (m *messages) finish(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.finishLocked(id)
}

// finishLocked forgets a call of which no more comes. A message that is not complete then is an error,
// and what is kept stays until the server ends the call.
func (m *messages) finishLocked(id uint32) {
	if c := m.calls[id]; c != nil && c.kept == 0 {
		m.dropLocked(id)
	}
}

func (m *messages) dropLocked(id uint32) {
	if c := m.calls[id]; c != nil {
		delete(m.calls, id)
		m.setLocked(c, 0)
	}
}

// setLocked changes what a call takes.
func (m *messages) setLocked(c *call, held int) {
	switch {
	case c.held == 0 && held > 0:
		m.open++
	case c.held > 0 && held == 0:
		m.open--
	}

	m.held += held - c.held
	c.held = held
}

// read takes bytes of the messages of a call. begins is true at the beginning of a frame.
func (m *messages) read(id uint32, p []byte, begins bool) {
	m.mu.Lock()
	defer m.mu.Unlock()

	// What belongs to no call the server drops.
	c := m.calls[id]
	if c == nil || len(p) == 0 {
		return
	}

	m.came += uint64(len(p))
	m.last = time.Now()
	c.progress, c.came = m.last, m.came

	if begins {
		m.setLocked(c, c.held+perPiece)
	}

	for len(p) > 0 {
		n := c.take(p)
		m.setLocked(c, c.held+n)
		p = p[n:]

		if c.known == messagePrefix && c.left == 0 {
			m.completeLocked(c)
		}
	}
}

// take takes bytes of the prefix or of the message, and returns how many.
func (c *call) take(p []byte) int {
	if c.known < messagePrefix {
		n := copy(c.prefix[c.known:], p)
		c.known += n

		if c.known == messagePrefix {
			c.left = uint64(binary.BigEndian.Uint32(c.prefix[1:]))
		}

		return n
	}

	n := int(min(uint64(len(p)), c.left))
	c.left -= uint64(n)

	return n
}

// completeLocked gives a message away that somebody reads.
func (m *messages) completeLocked(c *call) {
	if c.answered || c.first {
		m.setLocked(c, c.kept)
	}

	c.kept = c.held
	c.known, c.first = 0, false
}

// answer notes that the server has begun to answer a call, and so reads on.
func (m *messages) answer(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if c := m.calls[id]; c != nil && !c.answered {
		c.answered = true
		m.setLocked(c, c.held-c.kept)
		c.kept = 0
	}
}

// settle claims what is missing, and gives back what is too much. Refuse is called when a message makes
// no progress.
func (m *messages) settle(peer Peer, refuse func(error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.ended {
		return nil
	}

	needed := max(m.held-freeMessages, 0)

	switch {
	case needed > m.claimed:
		more := (needed - m.claimed + messageBlock - 1) / messageBlock * messageBlock
		if err := peer.ClaimMessages(more); err != nil {
			return err
		}

		m.claimed += more
	case m.claimed-needed >= messageBlock:
		less := (m.claimed - needed) / messageBlock * messageBlock
		peer.UnclaimMessages(less)
		m.claimed -= less
	}

	switch {
	case needed == 0 && m.timer != nil:
		m.timer.Stop()
		m.timer = nil
	case needed > 0 && m.timer == nil && m.patience > 0:
		m.watchLocked(m.patience, refuse)
	}

	return nil
}

// watchLocked looks after some time whether the messages make progress.
func (m *messages) watchLocked(after time.Duration, refuse func(error)) {
	var timer *time.Timer

	timer = time.AfterFunc(after, func() {
		m.mu.Lock()
		defer m.mu.Unlock()

		switch {
		case m.timer != timer:
		case m.stalledLocked(time.Now()) > freeMessages:
			go refuse(errStalled)
		default:
			m.watchLocked(m.patience/4, refuse)
		}
	})
	m.timer = timer
}

// stalledLocked returns what the messages hold that make no progress, in bytes. One does not stall that
// waits for its turn, behind the others of a slow connection.
func (m *messages) stalledLocked(now time.Time) int {
	stalled := 0
	fair := uint64(m.open+1) * turn
	silent := now.Sub(m.last) >= m.patience

	for _, c := range m.calls {
		if now.Sub(c.progress) >= m.patience && (silent || m.came-c.came >= fair) {
			stalled += c.held
		}
	}

	return stalled
}

// stop ends the account. The peer gives back what has been claimed.
func (m *messages) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.ended = true

	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// written takes what the server writes.
func (m *messages) written(p []byte) {
	m.ends.read(p, m.end, m.answer)
}

// writes reads what a server sends over an HTTP/2 connection, in pieces of any size. It is for one
// goroutine.
type writes struct {
	head  [frameHeader]byte
	known int
	left  int
}

// read calls ended for each call that ends, and answered for one whose answer begins.
func (w *writes) read(p []byte, ended, answered func(id uint32)) {
	for len(p) > 0 {
		if w.left > 0 {
			n := min(len(p), w.left)
			w.left -= n
			p = p[n:]

			continue
		}

		n := copy(w.head[w.known:], p)
		w.known += n
		p = p[n:]

		if w.known < frameHeader {
			return
		}

		w.known = 0
		w.left = payloadOf(w.head)
		id := callOf(w.head)

		switch kind := w.head[3]; {
		case kind == resetFrame, (kind == headersFrame || kind == dataFrame) && w.head[4]&endStream != 0:
			ended(id)
		case kind == headersFrame:
			answered(id)
		}
	}
}

// payloadOf returns the size of a frame behind its header.
func payloadOf(head [frameHeader]byte) int {
	return int(head[0])<<16 | int(head[1])<<8 | int(head[2])
}

// callOf returns the number of the call that a frame belongs to.
func callOf(head [frameHeader]byte) uint32 {
	return binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1)
}
