package calls

import (
	"sync"

	"github.com/minogrpc/session/internal/parcel"
)

// Pool is the workers that make the calls. Their number follows the traffic: a worker
// starts when there is work and nobody waits for it, and ends when another one waits.
type Pool struct {
	*Lanes

	host Host
	max  int

	// work wakes a worker that waits. It has the lock of the link, as everything here.
	work *sync.Cond
	// workers counts the goroutines, and idle those of them that wait and have not been
	// woken.
	workers, idle int
}

// Host is what the workers need of their link. Only Carry is called without its lock.
type Host struct {
	// Lock is that of the link.
	Lock sync.Locker

	// Start runs a worker in a goroutine.
	Start func(worker func())

	// Live tells whether parcels may leave.
	Live func() bool

	// Taken is called when a worker has looked for a parcel, and tells whether there was one.
	Taken func(some bool)

	// Carry makes the call for a parcel and reports what becomes of it. The error is why
	// the parcel cannot be sent.
	Carry func(p *parcel.Parcel, err error)
}

// NewPool returns a pool of so many workers at most.
func NewPool(lanes *Lanes, workers int, host Host) *Pool {
	return &Pool{Lanes: lanes, host: host, max: workers, work: sync.NewCond(host.Lock)}
}

// Wake makes sure that a worker looks at the lanes.
func (w *Pool) Wake() {
	switch {
	case !w.host.Live():
	case w.idle > 0:
		w.idle--
		w.work.Signal()
	case w.workers < w.max:
		w.workers++
		w.host.Start(w.empty)
	}
}

// Stop makes the workers that wait look whether the link lives.
func (w *Pool) Stop() {
	w.work.Broadcast()
}

// empty carries what the lanes have until there is nothing.
func (w *Pool) empty() {
	for {
		p, err := w.next()
		if p == nil {
			return
		}

		w.host.Carry(p, err)
	}
}

// next waits for a parcel. It returns nil when there is nothing left to wait for, or
// another worker waits already.
func (w *Pool) next() (*parcel.Parcel, error) {
	w.host.Lock.Lock()
	defer w.host.Lock.Unlock()

	for w.host.Live() {
		p, err := w.Take()
		w.host.Taken(p != nil)

		if p != nil {
			// What became ready while nobody could look at it, during the set-up or
			// behind a busy lane, has not woken anybody yet.
			if w.Ready() {
				w.Wake()
			}

			return p, err
		}

		if w.idle > 0 {
			break
		}

		w.idle++
		w.work.Wait()
	}

	w.workers--

	return nil, nil
}
