package sessiontest

import (
	"bytes"
	"slices"
	"time"
)

const (
	// bufferSize is how many bytes a pipe without a delay holds: about what the
	// sockets of a kernel do before the window opens.
	bufferSize = 64 << 10

	// windowSize is how many a delayed pipe holds, those on their way included. It
	// is what a kernel's sockets grow to, so that the delay of a link does not become
	// a limit of its throughput.
	windowSize = 4 << 20
)

// pipe is one direction of a connection. The lock of the connection guards it.
type pipe struct {
	way    direction
	frozen bool
	delay  time.Duration
	// lane is nil where the bandwidth has never been limited.
	lane *lane

	// flying are the segments on their way, in the order of their arrival, and
	// arrived the bytes that can be read. held is the number of bytes in both.
	flying  []segment
	arrived bytes.Buffer
	held    int

	// ended is set when the end of the connection has arrived: nothing can follow.
	ended bool

	// writing is set while a Write is under way. It is not a mutex, because waiting
	// for one is not durable in a bubble, and a Write can take as long as a fault.
	writing bool
}

// segment is what one Write, or the close of the writer, has put into a pipe.
type segment struct {
	due  time.Time
	data []byte
	end  bool
}

// hasRoomLocked tells if a byte can be written.
func (p *pipe) hasRoomLocked() bool {
	held, _ := p.limitLocked()

	return p.held < held
}

// limitLocked returns how many bytes the pipe holds, and how many of them are sent in one
// segment.
func (p *pipe) limitLocked() (held, piece int) {
	if p.lane != nil {
		held, piece = p.lane.limit(p.delay)
	}

	switch {
	case held > 0:
		return held, piece
	case p.delay > 0:
		return windowSize, windowSize
	default:
		return bufferSize, bufferSize
	}
}

// isReadableLocked tells if a Read has something to return, be it the end.
func (p *pipe) isReadableLocked() bool {
	return p.ended || p.arrived.Len() > 0
}

// writeLocked sends as many of the bytes as there is room for, or less. It returns their
// number, and how long it takes them to arrive.
func (p *pipe) writeLocked(b []byte) (int, time.Duration) {
	held, piece := p.limitLocked()
	b = b[:min(len(b), held-p.held, piece)]
	p.held += len(b)

	// The common case, where the bytes need not be copied twice.
	if p.delay == 0 && p.lane == nil && !p.frozen && len(p.flying) == 0 {
		p.arrived.Write(b)
		return len(b), 0
	}

	return len(b), p.sendLocked(segment{data: bytes.Clone(b)})
}

// endLocked sends the end of the connection after all the bytes, and returns how
// long it takes to arrive.
func (p *pipe) endLocked() time.Duration {
	return p.sendLocked(segment{end: true})
}

func (p *pipe) sendLocked(s segment) time.Duration {
	now := time.Now()
	s.due = now

	if p.lane != nil {
		s.due = p.lane.send(len(s.data), now)
	}

	s.due = s.due.Add(p.delay)

	// A delay that has become shorter, or a lane that has become faster, must not change the
	// order.
	if len(p.flying) > 0 {
		if last := p.flying[len(p.flying)-1].due; last.After(s.due) {
			s.due = last
		}
	}

	p.flying = append(p.flying, s)

	return s.due.Sub(now)
}

// landLocked makes readable what has arrived in the meantime.
func (p *pipe) landLocked() {
	if p.frozen || len(p.flying) == 0 {
		return
	}

	now := time.Now()
	landed := 0

	for landed < len(p.flying) && !p.flying[landed].due.After(now) {
		p.arrived.Write(p.flying[landed].data)
		p.ended = p.ended || p.flying[landed].end
		landed++
	}

	p.flying = slices.Delete(p.flying, 0, landed)
}

// readLocked takes bytes that have arrived.
func (p *pipe) readLocked(b []byte) int {
	n, _ := p.arrived.Read(b) // io.EOF only says that nothing is left for now
	p.held -= n

	return n
}

// freezeLocked keeps everything where it is. What is due by now has arrived.
func (p *pipe) freezeLocked() {
	p.landLocked()
	p.frozen = true
}

func (p *pipe) thawLocked() {
	p.frozen = false
}

// applyLocked makes the freeze and the delay of the pipe those of a fault.
func (p *pipe) applyLocked(f fault) {
	p.delay = f.delay

	if f.frozen {
		p.freezeLocked()
	} else {
		p.thawLocked()
	}
}
