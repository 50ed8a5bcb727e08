package gate

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrFull is what [Room.Enter] returns where no place becomes free in time.
var ErrFull = errors.New("there is no room for another connection")

// Room has places for connections, a number for each host and a number in all. When it is full, the
// oldest connection of the host with the most makes room. A host that has fewer takes a place at
// once. Between equals the newcomer waits until the oldest has had its time: so many honest peers
// that come at once do not push each other out.
type Room struct {
	perHost, total int
	grace          time.Duration

	mu    sync.Mutex
	hosts map[string]*house
	count int
	// check looks again when the next connection has had its time. It is nil while nobody waits.
	check *time.Timer
}

// house is what one host has in a room.
type house struct {
	// inside and waiting are in the order of their arrival.
	inside, waiting []*Guest
}

// Guest is a connection in a room.
type Guest struct {
	host string
	// evict ends the connection.
	evict func()

	// since is when it got its place, and admitted is closed then.
	since    time.Time
	admitted chan struct{}
}

// NewRoom returns an empty room. The grace is the time that a connection has at least, as long as no
// host with fewer connections asks for its place. Where it is zero nobody waits.
func NewRoom(perHost, total int, grace time.Duration) *Room {
	return &Room{perHost: perHost, total: total, grace: grace, hosts: make(map[string]*house)}
}

// Enter takes a place for a connection of the host. It waits for one until done is closed or the
// patience is over, and then returns [ErrFull]. evict is called, in any goroutine and without a lock,
// when the connection has to make room; by then it has no place any more.
func (r *Room) Enter(host string, evict func(), done <-chan struct{}, patience time.Duration) (*Guest, error) {
	g := &Guest{host: host, evict: evict, admitted: make(chan struct{})}

	r.mu.Lock()
	r.houseLocked(host).waiting = append(r.houseLocked(host).waiting, g)
	evicted := r.grantLocked()
	r.mu.Unlock()

	expel(evicted)

	select {
	case <-g.admitted:
		return g, nil
	default:
	}

	timer := time.NewTimer(patience)
	defer timer.Stop()

	select {
	case <-g.admitted:
		return g, nil
	case <-done:
	case <-timer.C:
	}

	r.Leave(g)

	return nil, ErrFull
}

// Leave gives a place back. It may be called more than once.
func (r *Room) Leave(g *Guest) {
	if g == nil {
		return
	}

	r.mu.Lock()
	r.removeLocked(g)
	evicted := r.grantLocked()
	r.mu.Unlock()

	expel(evicted)
}

// Len returns how many connections have a place.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.count
}

func expel(guests []*Guest) {
	for _, g := range guests {
		g.evict()
	}
}

// houseLocked returns that of the host, which it makes where there is none.
func (r *Room) houseLocked(host string) *house {
	h := r.hosts[host]
	if h == nil {
		h = &house{}
		r.hosts[host] = h
	}

	return h
}

// removeLocked takes a connection out, wherever it is.
func (r *Room) removeLocked(g *Guest) {
	h := r.hosts[g.host]
	if h == nil {
		return
	}

	if i := slices.Index(h.inside, g); i >= 0 {
		h.inside = slices.Delete(h.inside, i, i+1)
		r.count--
	}

	if i := slices.Index(h.waiting, g); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}

	if len(h.inside)+len(h.waiting) == 0 {
		delete(r.hosts, g.host)
	}
}

// grantLocked gives places to those who wait for as long as there are any, and returns who has to go
// for that.
func (r *Room) grantLocked() []*Guest {
	var evicted []*Guest

	now := time.Now()

	for {
		h := r.nextLocked()
		if h == nil {
			break
		}

		g := h.waiting[0]

		victim, wait := r.victimLocked(h, now)
		if wait > 0 {
			r.checkLocked(wait)

			return evicted
		}

		h.waiting = h.waiting[1:]
		h.inside = append(h.inside, g)
		r.count++

		if victim != nil {
			r.removeLocked(victim)
			evicted = append(evicted, victim)
		}

		g.since = now
		close(g.admitted)
	}

	if r.check != nil {
		r.check.Stop()
		r.check = nil
	}

	return evicted
}

// nextLocked returns the host whose turn it is: of those that wait, the one with the fewest places.
func (r *Room) nextLocked() *house {
	var next *house

	for _, h := range r.hosts {
		if len(h.waiting) > 0 && (next == nil || len(h.inside) < len(next.inside)) {
			next = h
		}
	}

	return next
}

// victimLocked returns who has to go for one more connection of the host, if anybody has to, and how
// long that one may stay.
func (r *Room) victimLocked(h *house, now time.Time) (*Guest, time.Duration) {
	most := h

	switch {
	case len(h.inside) >= r.perHost:
	case r.count < r.total:
		return nil, 0
	default:
		for _, other := range r.hosts {
			if len(other.inside) > len(most.inside) {
				most = other
			}
		}
	}

	victim := most.inside[0]
	// Otherwise two hosts would take the place from each other.
	if len(most.inside) > len(h.inside)+1 {
		return victim, 0
	}

	return victim, max(0, r.grace-now.Sub(victim.since))
}

// checkLocked looks again after a while.
func (r *Room) checkLocked(wait time.Duration) {
	if r.check != nil {
		r.check.Stop()
	}

	r.check = time.AfterFunc(wait, func() {
		r.mu.Lock()
		evicted := r.grantLocked()
		r.mu.Unlock()

		expel(evicted)
	})
}
