// Package inbox has the queue from which a session takes the packets for its node.
//
// Packets leave it in the order in which they came, and each once. Push never waits. Pop
// waits for a packet, and needs no goroutine beside its caller's for that.
package inbox

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/router"
)

// ErrClosed is what Push returns when the inbox has been closed.
var ErrClosed = errors.New("inbox is closed")

// Inbox is a bounded queue of packets. All methods may be called from several goroutines
// at once.
type Inbox struct {
	// wake holds a token when one of the goroutines in Pop has something to do.
	wake chan struct{}

	mu      sync.Mutex
	bounds  Bounds
	backlog fifo.List[Entry]
	// budget is what packets take that have no account. Nil is no limit. left is set when
	// nothing here counts for any budget any more.
	budget *memory.Budget
	left   bool
	// waiting is the number of goroutines that wait in Pop.
	waiting int
	// pushed and popped count the packets that have ever been put in and taken out.
	pushed, popped uint64
	// cause is set when the inbox is closed.
	cause error
}

// New returns an empty inbox with those bounds, which must be positive. What is in it
// counts against the budget, which may be nil.
func New(maxPackets, maxBytes int, budget *memory.Budget) *Inbox {
	return &Inbox{
		wake:   make(chan struct{}, 1),
		bounds: Bounds{MaxPackets: maxPackets, MaxBytes: maxBytes},
		budget: budget,
	}
}

// Push puts a packet of that size into the inbox. It returns [ErrClosed] after Close, [ErrFull] when a
// bound is reached, and [memory.ErrExhausted] when the budget has no room.
func (b *Inbox) Push(entry Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()

	switch {
	case b.cause != nil:
		return ErrClosed
	case b.bounds.Full(entry.Size):
		return ErrFull
	}

	if entry.Account == nil {
		entry.Account = b.budget
	}

	if !entry.Account.Reserve(entry.Size) {
		return memory.ErrExhausted
	}

	b.bounds.Add(entry.Size)
	b.backlog.Push(entry)
	b.pushed++
	b.wakeLocked()

	return nil
}

// Pop takes out the oldest packet, and waits for one if the inbox is empty. A packet that
// is there wins over everything else. Otherwise Pop returns the cause of Close, or the
// error of the context when that is done first.
func (b *Inbox) Pop(ctx context.Context) (router.Packet, error) {
	return b.pop(ctx, Other{})
}

// Other is something else that the caller of PopOr waits for.
type Other struct {
	// Next takes it if its turn has come, now that so many packets have been taken out. It is called
	// under the lock of the inbox.
	Next func(popped uint64) bool
	// Wake holds a token when Next has to be called again. One goroutine may take the token of
	// another, so that Next leaves one when there is more.
	Wake <-chan struct{}
}

// PopOr is Pop, but returns neither a packet nor an error when Next of the other has returned true. That
// comes before everything else.
func (b *Inbox) PopOr(ctx context.Context, other Other) (router.Packet, error) {
	return b.pop(ctx, other)
}

// Pushed returns how many packets have ever been put in.
func (b *Inbox) Pushed() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.pushed
}

func (b *Inbox) pop(ctx context.Context, other Other) (router.Packet, error) {
	// A context of somebody's own may panic, but not while the lock is given away below.
	done := ctx.Done()

	b.mu.Lock()
	defer b.mu.Unlock()

	for {
		if other.Next != nil && other.Next(b.popped) {
			// The token that has woken this goroutine may have been for a packet.
			b.wakeIfLocked(b.backlog.Len() > 0 || b.cause != nil)

			return nil, nil
		}

		if b.backlog.Len() > 0 {
			return b.takeLocked(), nil
		}

		if b.cause != nil {
			// The others that wait are to see it too.
			b.wakeLocked()

			return nil, b.cause
		}

		if ctx.Err() != nil {
			return nil, ctx.Err()
		}

		b.waitLocked(done, other.Wake)
	}
}

// Close lets no more packets in. Pop still returns those that are there, and then the
// cause, or io.EOF for a nil cause. Only the first Close counts.
func (b *Inbox) Close(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.cause != nil {
		return
	}

	if cause == nil {
		cause = io.EOF
	}

	b.cause = cause
	b.wakeLocked()
}

// Depth returns the number of packets in the inbox, and their sizes together.
func (b *Inbox) Depth() (packets, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.bounds.Depth()
}

// LeaveBudget gives back what the inbox has of the budget, and takes nothing from it any
// more. Its owner calls it after Close: nobody may ever read what is left, and the node
// has other sessions.
func (b *Inbox) LeaveBudget() {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.left {
		return
	}

	b.left = true

	for i := range b.backlog.Len() {
		entry := b.backlog.At(i)
		entry.Account.Release(entry.Size)
	}
}

// Discard drops what is in the inbox, and gives back what that has of the budget. Its owner calls it
// after Close, when nobody will read any more.
func (b *Inbox) Discard() {
	b.mu.Lock()
	defer b.mu.Unlock()

	for b.backlog.Len() > 0 {
		b.takeLocked()
	}
}

// takeLocked takes out the oldest packet.
func (b *Inbox) takeLocked() router.Packet {
	entry := b.backlog.Pop()
	b.popped++
	b.bounds.Free(entry.Size)

	if !b.left {
		entry.Account.Release(entry.Size)
	}

	// One token may stand for several packets, so the goroutine that takes one passes the
	// token on.
	b.wakeIfLocked(b.backlog.Len() > 0)

	return entry.Packet
}

// waitLocked gives the lock away until there is a token, something else, or a context is done.
func (b *Inbox) waitLocked(done, other <-chan struct{}) {
	b.waiting++
	b.mu.Unlock()

	select {
	case <-b.wake:
	case <-other:
	case <-done:
	}

	b.mu.Lock()
	b.waiting--
}

// wakeIfLocked is wakeLocked under a condition.
func (b *Inbox) wakeIfLocked(needed bool) {
	if needed {
		b.wakeLocked()
	}
}

// wakeLocked wakes one of the goroutines in Pop. A token that nobody takes does no harm:
// the next goroutine that waits looks once more than needed.
func (b *Inbox) wakeLocked() {
	if b.waiting == 0 {
		return
	}

	select {
	case b.wake <- struct{}{}:
	default:
	}
}
