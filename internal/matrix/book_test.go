package matrix_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// echoPrefix begins a message that is to be answered with itself.
	echoPrefix = "echo "

	// patience is more than anything in these tests takes, on a busy machine.
	patience = time.Minute
)

func isEcho(msg string) bool { return strings.HasPrefix(msg, echoPrefix) }

// book is what the players of a network have told.
type book struct {
	mu sync.Mutex
	// changed is closed, and replaced, with every entry.
	changed chan struct{}
	parts   []*part
}

// part is one handler.
type part struct {
	stream

	name  text
	inbox []receipt
	ended bool
}

// receipt is a message that a handler has got.
type receipt struct {
	from text
	msg  string
}

func newBook() *book {
	return &book{changed: make(chan struct{})}
}

// clear forgets the handlers, all of which have ended.
func (b *book) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.parts = nil
}

func (b *book) changedLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) enter(name text, s stream) *part {
	b.mu.Lock()
	defer b.mu.Unlock()

	p := &part{stream: s, name: name}
	b.parts = append(b.parts, p)
	b.changedLocked()

	return p
}

func (b *book) leave(p *part) {
	b.mu.Lock()
	defer b.mu.Unlock()

	p.ended = true
	b.changedLocked()
}

func (b *book) receive(p *part, from text, msg string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	p.inbox = append(p.inbox, receipt{from, msg})
	b.changedLocked()
}

// await waits until the condition is true, which it asks with the lock held.
func (b *book) await(t *testing.T, limit time.Duration, what string, isTrue func() bool) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()

	for {
		b.mu.Lock()
		done, changed := isTrue(), b.changed
		b.mu.Unlock()

		if done {
			return
		}

		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("after %v: %s, but %s", limit, what, b.story())
		}
	}
}

// story tells how many messages each handler has got, for the reader of a failure.
func (b *book) story() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	var s strings.Builder
	for _, p := range b.parts {
		fmt.Fprintf(&s, "\n  %s: %d messages, ended: %v", p.name, len(p.inbox), p.ended)
	}

	return s.String()
}

// newest returns the last handler of a node, which must have begun.
func (b *book) newest(t *testing.T, name text) *part {
	t.Helper()

	all := b.partsOf(name)
	if len(all) == 0 {
		t.Fatalf("no handler of %s has begun", name)
	}

	return all[len(all)-1]
}

func (b *book) partsOf(name text) []*part {
	b.mu.Lock()
	defer b.mu.Unlock()

	var all []*part

	for _, p := range b.parts {
		if p.name == name {
			all = append(all, p)
		}
	}

	return all
}

// got returns the messages that a node has got with a prefix, in order.
func (b *book) got(name text, prefix string) []receipt {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.gotLocked(name, prefix)
}

func (b *book) gotLocked(name text, prefix string) []receipt {
	var all []receipt

	for _, p := range b.parts {
		for _, r := range p.inbox {
			if p.name == name && strings.HasPrefix(r.msg, prefix) {
				all = append(all, r)
			}
		}
	}

	return all
}

// awaitEnd waits until no handler is running.
func (b *book) awaitEnd(t *testing.T, limit time.Duration) {
	t.Helper()

	b.await(t, limit, "all handlers should have ended", func() bool {
		for _, p := range b.parts {
			if !p.ended {
				return false
			}
		}

		return true
	})
}
