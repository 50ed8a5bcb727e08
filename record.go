package session

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// recentFailures is how many failures a session remembers.
const recentFailures = 16

// record counts the outcomes that pass this node, and remembers the last failures. It has no lock of
// the session: outcomes are told without that.
type record struct {
	delivered atomic.Uint64

	mu sync.Mutex
	// failed counts the failures by their reason.
	failed [ReasonRejected + 1]uint64
	// failures are the last ones. They are kept as they came, because most are never asked for: the
	// oldest is at next once the ring is full.
	failures [recentFailures]failure
	next     int
}

// failure is an outcome and its time.
type failure struct {
	at  time.Time
	err *DeliveryError
}

// fail notes a failure at the destination with that text.
func (r *record) fail(key string, err *DeliveryError) {
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

	r.failures[r.next%recentFailures] = failure{now, err}
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
