package protocol

import (
	"context"
	"sync"

	"github.com/minogrpc/session/mino"
)

// maxWaiting and maxWaitingBytes bound the requests that have come to a stream and wait for [Stream.Requests].
const (
	maxWaiting      = 1024
	maxWaitingBytes = 16 << 20
)

// request is one that waits.
type request struct {
	envelope

	from mino.Address
}

// queue holds the requests that wait. Past a bound the reader of the stream waits for room, so that the
// overlay's own queue fills up and its senders are told. While a gathering goes on the reader must go on
// too, for the sake of the answers: then the queue takes no more.
type queue struct {
	mu       sync.Mutex
	waiting  []request
	bytes    int
	dropped  bool // A request that wants no answer was not taken.
	gathered int  // Gatherings that go on.
	ended    error
	// changed is closed at the next change. It is nil while nobody waits for that.
	changed chan struct{}
}

// change does something under the lock, and wakes up all that wait.
func (q *queue) change(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()

	do()
	q.changedLocked()
}

// changedLocked wakes up all that wait.
func (q *queue) changedLocked() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// waitLocked returns what is closed at the next change.
func (q *queue) waitLocked() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}

	return q.changed
}

// push adds a request. It waits for room, but not while a gathering goes on. It returns false if the request
// was not added, also because nobody reads the stream any more.
func (q *queue) push(r request, quit <-chan struct{}) bool {
	for {
		pushed, wait := q.tryPush(r)
		if wait == nil {
			return pushed
		}

		select {
		case <-wait:
		case <-quit:
			return false
		}
	}
}

// tryPush is push, but in place of waiting returns what to wait for.
func (q *queue) tryPush(r request) (pushed bool, wait <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()

	full := len(q.waiting) >= maxWaiting || (len(q.waiting) > 0 && q.bytes+len(r.payload) > maxWaitingBytes)

	switch {
	case full && q.gathered == 0:
		return false, q.waitLocked()
	case full:
		q.dropped = q.dropped || r.id == 0
	default:
		q.waiting = append(q.waiting, r)
		q.bytes += len(r.payload)
	}

	q.changedLocked()

	return !full, nil
}

// take returns the next request. After the last it returns ErrDropped if some are missing, and then the
// end of the stream. It returns the cause of the context if that is done first. The context of
// a handler is done together with the stream: then take first returns the requests that have come.
func (q *queue) take(ctx, stream context.Context) (request, error) {
	for {
		// The order matters: a stream that ends the context has ended before it.
		given, ended, done := ctx.Err() != nil, stream.Err() != nil, ctx.Done()

		switch {
		case ended:
			done = nil // The reader of the stream is about to say how it ended.
		case given:
			return request{}, context.Cause(ctx)
		}

		r, wait, err := q.tryTake()
		if wait == nil {
			return r, err
		}

		select {
		case <-wait:
		case <-done:
		}
	}
}

// tryTake is take, but in place of waiting returns what to wait for.
func (q *queue) tryTake() (r request, wait <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()

	switch {
	case len(q.waiting) > 0:
		r = q.waiting[0]
		q.waiting[0] = request{} // The array stays until append moves the rest.
		q.waiting = q.waiting[1:]
		q.bytes -= len(r.payload)
	case q.dropped:
		q.dropped, err = false, ErrDropped
	case q.ended != nil:
		return r, nil, q.ended
	default:
		return r, q.waitLocked(), nil
	}

	q.changedLocked()

	return r, nil, err
}
