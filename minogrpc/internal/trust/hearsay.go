package trust

import (
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session"
)

// The pauses before this node dials an address of hearsay again. Each is twice the one before.
const (
	firstHearsayPause = time.Second
	lastHearsayPause  = 5 * time.Minute
)

// hearsay has the addresses that only another member has named. Nobody has proved to be the node at
// such an address, neither by a call nor by an answer to a dial. A member may name the address of a
// third party, and this node must not dial that party again and again. Hearsay ends with the process:
// what the store has at the start counts as the operator's.
type hearsay struct {
	mu    sync.RWMutex
	addrs map[session.Address]*attempt
}

// attempt is the last attempt to dial an address. It is zero before the first.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// add notes an address that another member has named.
func (h *hearsay) add(addr session.Address) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if h.addrs == nil {
		h.addrs = make(map[session.Address]*attempt)
	}

	h.addrs[addr] = &attempt{}
}

// has tells whether the address is hearsay.
func (h *hearsay) has(addr session.Address) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()

	return h.addrs[addr] != nil
}

// proved notes that the node at the address has shown its key.
func (h *hearsay) proved(addr session.Address) {
	if !h.has(addr) {
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	delete(h.addrs, addr)
}

// dial returns an error if this node must not dial the address now. Otherwise it counts the attempt.
func (h *hearsay) dial(addr session.Address, now time.Time) error {
	if !h.has(addr) {
		return nil
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	a := h.addrs[addr]
	if a == nil {
		return nil
	}

	if now.Before(a.next) {
		return fmt.Errorf("nobody has proved to be %v yet, and it was dialled a moment ago", addr)
	}

	a.pause = min(max(2*a.pause, firstHearsayPause), lastHearsayPause)
	a.next = now.Add(a.pause)

	return nil
}
