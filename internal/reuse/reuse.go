// Package reuse finds messages that change the bytes that their Serialize has returned.
//
// A session does not copy these bytes. A message that returns the same buffer from each call
// overwrites what is still on its way, and the receiver gets the wrong message without any error.
// The check costs a copy of each message, so it runs only while a test watches.
package reuse

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/minogrpc/session/internal/pending"
)

var (
	mu       sync.Mutex
	next     int
	watchers = make(map[int]func(msg any))

	// watching is how many watchers there are. Send reads it without the lock.
	watching atomic.Int32
)

// Watch has the function called for each message whose bytes have changed before the outcomes of
// all its destinations were known. The function may be called from several goroutines at once, and
// while locks are held: it must be short. Watch is about all sessions of the process. The caller
// calls stop once.
func Watch(report func(msg any)) (stop func()) {
	mu.Lock()
	defer mu.Unlock()

	id := next
	next++
	watchers[id] = report

	watching.Add(1)

	return func() {
		mu.Lock()
		defer mu.Unlock()

		delete(watchers, id)
		watching.Add(-1)
	}
}

// Guard returns the waiter for a message whose Serialize has returned these bytes. It is the
// waiter that is given, unless a test watches.
func Guard(waiter pending.Waiter, msg any, data []byte) pending.Waiter {
	if watching.Load() == 0 {
		return waiter
	}

	return guard{Waiter: waiter, msg: msg, data: data, before: bytes.Clone(data)}
}

// guard compares the bytes when the last outcome is known.
type guard struct {
	pending.Waiter

	msg          any
	data, before []byte
}

// Settled implements pending.Waiter.
func (g guard) Settled(i, left int, err error) {
	if left == 0 && !bytes.Equal(g.data, g.before) {
		report(g.msg)
	}

	g.Waiter.Settled(i, left, err)
}

func report(msg any) {
	mu.Lock()
	defer mu.Unlock()

	for _, watcher := range watchers {
		watcher(msg)
	}
}
