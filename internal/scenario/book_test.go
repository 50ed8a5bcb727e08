package scenario_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/minogrpc/session/mino"
)

// book is what the nodes of a world have told. It is written to from everywhere.
type book struct {
	began time.Time

	mu sync.Mutex
	// senders are those of the handlers, and of the orchestrator, that have begun,
	// running are the handlers that have not ended, and begins counts them all by
	// node and life.
	senders map[string]mino.Sender
	running map[string]int
	begins  map[string]int
	// receipts are the messages that arrived, by who got them.
	receipts map[string][]receipt
	losses   []loss
	// silent are the nodes that have been stopped, whose losses do not count.
	silent map[string]bool
	sent   time.Duration
	ended  bool
	cause  string
}

// receipt is a message that a handler, or the orchestrator, has got.
type receipt struct {
	at         time.Duration
	from, text string
	life       int
}

// loss is a neighbour that a node reports lost, or to whom a link has broken.
type loss struct {
	broken   bool
	at       time.Duration
	by, peer string
	cause    error
}

func newBook(w *world) *book {
	return &book{
		began:    w.began,
		senders:  make(map[string]mino.Sender),
		running:  make(map[string]int),
		begins:   make(map[string]int),
		receipts: make(map[string][]receipt),
		silent:   make(map[string]bool),
	}
}

// observer writes what a session tells.
func (b *book) observer(name string, life int) session.Observer {
	return session.Observer{
		PacketSent: func(session.StreamInfo, mino.Address, session.PacketInfo) {
			b.mu.Lock()
			defer b.mu.Unlock()

			b.sent = time.Since(b.began)
		},
		RelayLost: func(_ session.StreamInfo, peer mino.Address, cause error) {
			b.miss(name, life, peer, cause, false)
		},
		RelayBroken: func(_ session.StreamInfo, peer mino.Address, cause error) {
			b.miss(name, life, peer, cause, true)
		},
	}
}

// miss writes that a node has lost a neighbour, or that the link to it has broken.
func (b *book) miss(name string, life int, peer mino.Address, cause error, broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if !b.silent[lifeOf(name, life)] {
		b.losses = append(b.losses, loss{broken, time.Since(b.began), name, nameOf(peer), cause})
	}
}

// lifeOf names one life of a node.
func lifeOf(name string, life int) string {
	return fmt.Sprintf("%s in life %d", name, life)
}

func (b *book) begun(name string, out mino.Sender) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.senders[name] = out
}

func (b *book) sender(name string) mino.Sender {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.senders[name]
}

// handling counts a handler until the returned function is called.
func (b *book) handling(name string, life int) (over func()) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.running[name]++
	b.begins[lifeOf(name, life)]++

	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()

		b.running[name]--
	}
}

func (b *book) receive(name string, life int, from mino.Address, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.receipts[name] = append(b.receipts[name], receipt{time.Since(b.began), nameOf(from), text, life})
}

// received returns how many messages a node has got.
func (b *book) received(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()

	return len(b.receipts[name])
}

// receiptsOf returns what a node has got from another, in order.
func (b *book) receiptsOf(name, from string) []receipt {
	b.mu.Lock()
	defer b.mu.Unlock()

	return slices.DeleteFunc(slices.Clone(b.receipts[name]), func(r receipt) bool { return r.from != from })
}

// handlers returns whose handlers are running.
func (b *book) handlers() []string {
	b.mu.Lock()
	defer b.mu.Unlock()

	var names []string

	for name, n := range b.running {
		if n > 0 {
			names = append(names, name)
		}
	}

	return names
}

// missedBy returns who has been reported lost, or as the other end of a broken link, by a node or by
// anybody.
func (b *book) missedBy(name string, broken bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()

	lost := make(map[string]bool)

	for _, l := range b.losses {
		if l.broken == broken && (name == "" || name == l.by) {
			lost[l.peer] = true
		}
	}

	return slices.Collect(maps.Keys(lost))
}

// silence makes the losses that a life of a node reports from now on not count: it
// loses everybody.
func (b *book) silence(name string, life int) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.silent[lifeOf(name, life)] = true
}

func (b *book) lastSent() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.sent
}

func (b *book) finish(cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.ended, b.cause = true, cause
}

// end returns whether Recv has ended for the orchestrator, and with what error.
func (b *book) end() (ended bool, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.ended, b.cause
}

// story tells the losses, for the reader of a failure.
func (b *book) story() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	var s strings.Builder
	for _, l := range b.losses {
		what := "has lost"
		if l.broken {
			what = "has a broken link to"
		}

		fmt.Fprintf(&s, "at %v %s %s %s: %v\n", l.at, l.by, what, l.peer, l.cause)
	}

	return s.String()
}

// checkLives checks what holds in every scenario: a node has one handler in a
// life, which has ended, and gets no message twice.
//
// Promises L5, L6, L8, M2.
func (b *book) checkLives(w *world) {
	if names := b.handlers(); len(names) > 0 {
		w.failf(0, "the handlers of %v have not ended", names)
	}

	if ended, _ := b.end(); b.sender(scenario.Orchestrator) != nil && !ended {
		w.failf(0, "Recv has not ended for the orchestrator")
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	for life, n := range b.begins {
		// The session of an existing node ends with its parents, so that another node that
		// adopts it begins a new one.
		if name, _, _ := strings.Cut(life, " "); n > 1 && !w.isExisting(name) {
			w.failf(0, "%s: the handler was started %d times", life, n)
		}
	}

	for name, receipts := range b.receipts {
		seen := make(map[receipt]bool)

		for _, r := range receipts {
			r.at = 0
			if seen[r] {
				w.failf(0, "%s has got %q of %s twice", name, r.text, r.from)
			}

			seen[r] = true
		}
	}
}
