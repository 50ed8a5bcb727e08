package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/mino"
)

// recentFailures is how many failures a session remembers, and recentLosses how many losses of nodes.
const (
	recentFailures = 16
	recentLosses   = 16
)

// record counts the outcomes that pass this node, and remembers the last failures. It has no lock of
// the session: outcomes are told without that.
type record struct {
	delivered atomic.Uint64

	mu sync.Mutex
	// failed counts the failures by their reason.
	failed [ReasonRejected + 1]uint64
	// failures are the last ones. They are kept as they came, because most are never asked for: the
	// oldest is at next once the ring is full. Most sessions have none.
	failures []failure
	next     int
	// losses are the last ones, the oldest first. Most sessions lose nobody.
	losses []loss
}

// failure is an outcome and its time. It was told by a neighbour, unless from is nil.
type failure struct {
	at   time.Time
	err  *DeliveryError
	from mino.Address
}

// loss is the loss of a node and its time. The version is that of the news that told it, or zero.
type loss struct {
	Loss

	at      time.Time
	version uint64
}

// lose notes the loss of a node.
func (r *record) lose(l Loss) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.loseLocked(loss{Loss: l, at: time.Now()})
}

// hear notes a loss that news have told. It returns false if that loss is known: the same news may come
// more than once.
func (r *record) hear(l Loss, version uint64) bool {
	key := sourceKey(l.Node)

	r.mu.Lock()
	defer r.mu.Unlock()

	for _, old := range slices.Backward(r.losses) {
		if sourceKey(old.Node) == key && old.version >= version {
			return false
		}
	}

	r.loseLocked(loss{Loss: l, at: time.Now(), version: version})

	return true
}

func (r *record) loseLocked(l loss) {
	// Another node may have written it, and it counts for no budget here.
	l.Cause = errors.New(detailOf(l.Cause))

	if len(r.losses) == recentLosses {
		copy(r.losses, r.losses[1:])
		r.losses[recentLosses-1] = l
	} else {
		r.losses = append(r.losses, l)
	}
}

// lost returns the last losses, the newest first.
func (r *record) lost() []loss {
	r.mu.Lock()
	defer r.mu.Unlock()

	if len(r.losses) == 0 {
		return nil
	}

	list := slices.Clone(r.losses)
	slices.Reverse(list)

	return list
}

// fail notes a failure at the destination with that text, which a neighbour has told. A nil neighbour is
// this node.
func (r *record) fail(key string, from mino.Address, err *DeliveryError) {
	now := time.Now()

	// Another node may have sent to an address of any length, which counts for no budget here.
	if len(key) > maxHop {
		err = &DeliveryError{
			Destination: AddressFactory{}.FromText([]byte(key[:maxHop])), Reason: err.Reason, Hop: err.Hop,
			Cause: errors.New(bounded(fmt.Sprint(err.Cause), maxText)),
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if err.Reason >= ReasonNoRoute && err.Reason <= ReasonRejected {
		r.failed[err.Reason]++
	}

	last := failure{now, err, from}
	if len(r.failures) < recentFailures {
		r.failures = append(r.failures, last)
	} else {
		r.failures[r.next%recentFailures] = last
	}

	r.next++
}

// outcomes returns the counts.
func (r *record) outcomes() OutcomeCounts {
	r.mu.Lock()
	defer r.mu.Unlock()

	return OutcomeCounts{
		Delivered:   r.delivered.Load(),
		NoRoute:     r.failed[ReasonNoRoute],
		Unreachable: r.failed[ReasonUnreachable],
		Overflow:    r.failed[ReasonOverflow],
		Timeout:     r.failed[ReasonTimeout],
		Closed:      r.failed[ReasonClosed],
		Rejected:    r.failed[ReasonRejected],
	}
}

// recent returns the last failures, the newest first.
func (r *record) recent() []failure {
	r.mu.Lock()
	defer r.mu.Unlock()

	n := min(r.next, recentFailures)
	if n == 0 {
		return nil
	}

	recent := make([]failure, n)
	for i := range recent {
		recent[i] = r.failures[(r.next-1-i)%recentFailures]
	}

	return recent
}
