package minogrpc

import (
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session"
)

// A node that has proved nothing is dialled again after a pause that doubles.
const (
	firstHearsayPause = time.Second
	lastHearsayPause  = 5 * time.Minute
)

// hearsay are the addresses that another member has told of, and where nobody has proved to be
// the node: neither by a call to this one nor by an answer to a dial. A member may tell of
// addresses of third parties, which must not be dialled again and again for that. It forgets
// with the process: what is in the store at the start is the operator's.
type hearsay struct {
	mu    sync.RWMutex
	addrs map[session.Address]*attempt
}

// attempt is the last one to dial an address. It is zero before the first.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// add notes an address of which somebody has told.
func (h *hearsay) add(addr session.Address) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if h.addrs == nil {
		h.addrs = make(map[session.Address]*attempt)
	}

	h.addrs[addr] = &attempt{}
}

// has tells whether nobody has proved to be the node at the address.
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

// dial returns an error if the address must not be dialled now, and else counts the attempt.
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
