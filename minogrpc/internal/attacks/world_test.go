//go:build linux

package attacks_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

const (
	mib = 1 << 20

	// strangersBound is by how much all the strangers together make the victim grow.
	strangersBound = 64 * mib

	// memberBound is by how much one member does: 2.5 times a quarter of the budget, and a bit.
	memberBound = 1024*mib/4*5/2 + 32*mib

	// slower is how many times as long the outcomes of the honest stream may take, and hardly what
	// counts as nothing: the processes share the processors.
	slower = 10
	hardly = 50 * time.Millisecond

	// long is how long a flood lasts that is more than a look: then there are enough outcomes for a
	// median, and the victim has to recover after each attack, not only after the last one.
	long = 5 * time.Second
	// barely is what counts as nothing in a short one, which begins with many handshakes at once.
	barely = 500 * time.Millisecond

	// recovery is how long the victim may take until it is what it was, but for remains.
	recovery = 15 * time.Second
	remains  = 8 * mib

	// burst is the time of the processor that an attack may take at once, before it is slowed down.
	burst = time.Second

	// pulse is how often the victim is looked at, unless that makes more than so many looks.
	pulse = 250 * time.Millisecond
	looks = 20
)

// world is a victim, and an honest node that sends to it.
type world struct {
	victim, honest *process

	// id is who the victim is, and store has its certificate.
	id    identity
	store certs.Storage
	// token lets a node join.
	token string
	// first is what the victim was in the beginning.
	first state
	// patience is for how long the victim keeps what belongs to a stream whose parent is gone without a
	// goodbye: the parent may come back, or another one adopt the victim.
	patience time.Duration
	// attacks is the number of attacks so far, each of which comes from other hosts.
	attacks int
}

// newWorld starts both. In short floods most of the time somebody waits for something, so that several
// worlds may be there at once. In long ones the processors are for one.
func newWorld(t *testing.T, s setup) *world {
	t.Helper()

	if *flood < long {
		t.Parallel()
	}

	w := &world{victim: startProcess(t, "victim"), honest: startProcess(t, "honest"), store: certs.NewInMemoryStore()}

	var sender identity

	w.victim.ask(s, &w.id)
	w.honest.ask(s, &sender)
	w.ask(question{Know: &sender})

	if !s.NoTLS {
		require.NoError(t, w.store.Store(addressOf(w.id), w.id.Chain))
	}

	w.honest.ask(w.id, new(window))
	t.Cleanup(func() { w.requireRecovered(t) })
	time.Sleep(2 * pulse) // The buffers of both grow in that time.

	w.token = w.ask(question{Token: true}).Token
	w.first = w.ask(question{})

	return w
}

// urlOf returns the URL of a node.
func urlOf(addr session.Address) (*url.URL, error) {
	return url.Parse(addr.String())
}

// address is that of the victim.
func (w *world) address() mino.Address {
	return addressOf(w.id)
}

func (w *world) ask(q question) state {
	var s state

	w.victim.ask(q, &s)

	return s
}

// window returns what has become of the messages of the honest node since the last time.
func (w *world) window() window {
	var s window

	w.honest.ask(question{}, &s)

	return s
}

// bounds are those of an attack. Zero stands for no bound of its own.
type bounds struct {
	// memory is by how much the victim may grow, in bytes.
	memory int64
	// cpu is how much of one processor it may take.
	cpu float64
	// descriptors is how many files it may open.
	descriptors int
}

// withstands runs an attack for the time of a flood, and checks that the victim stays within the
// bounds. The attack begins what it does, keeps what it has until the context ends, and returns then.
func (w *world) withstands(t *testing.T, b bounds, attack func(ctx context.Context)) {
	t.Helper()

	w.attacks++
	w.window()
	time.Sleep(min(pulse, *flood/2)) // The honest stream alone.

	quiet := w.window()
	before := w.ask(question{})
	begun := time.Now()

	ctx, cancel := context.WithTimeout(t.Context(), *flood)
	defer cancel()

	var wg sync.WaitGroup

	wg.Go(func() { attack(ctx) })

	worst := w.watch(ctx, before)

	// All that it holds is still there.
	if last := w.ask(question{}); last.Live > worst.Live {
		worst.Live = last.Live
	}

	cpu := (w.ask(question{}).CPU - before.CPU).Seconds() / time.Since(begun).Seconds()
	disturbed := w.window()

	cancel()
	wg.Wait()

	require.Less(t, (worst.Live-before.Live)/mib, b.memory/mib, "the victim has grown, in MiB")

	if b.cpu > 0 {
		require.Less(t, cpu, b.cpu+burst.Seconds()/flood.Seconds(), "the victim is busy")
	}

	if b.descriptors > 0 {
		require.LessOrEqual(t, worst.Descriptors-before.Descriptors, b.descriptors, "the victim has opened files")
	}

	require.Positive(t, disturbed.Sent)
	require.Zero(t, disturbed.Failed, "the honest stream has lost something: %s", disturbed.Cause)

	nothing, calm := barely, quiet.Median

	if *flood >= long {
		w.requireRecovered(t)
		w.window()
		time.Sleep(pulse)

		// Others may use the machine, too: what counts is what the honest stream takes about now.
		nothing, calm = hardly, max(calm, w.window().Median)
	}

	t.Logf("grew by %d MiB (resident %d MiB), %d descriptors, %.2f processors; outcomes took %v instead of %v, %d sent",
		(worst.Live-before.Live)/mib, (worst.Resident-before.Resident)/mib, worst.Descriptors-before.Descriptors, cpu,
		disturbed.Median, calm, disturbed.Sent)
	require.Less(t, disturbed.Median, max(slower*calm, nothing), "the honest stream is slow")
}

// watch returns the most that the victim has taken until the end of the context.
func (w *world) watch(ctx context.Context, worst state) state {
	// Each look is a collection, in which the honest stream has to wait.
	ticker := time.NewTicker(max(pulse, *flood/looks))
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return worst
		case <-ticker.C:
		}

		s := w.ask(question{})
		worst.Live = max(worst.Live, s.Live)
		worst.Resident = max(worst.Resident, s.Resident)
		worst.Descriptors = max(worst.Descriptors, s.Descriptors)
	}
}

// requireRecovered waits until the victim is what it was.
func (w *world) requireRecovered(t *testing.T) {
	t.Helper()

	if w.patience > 0 && *flood < long {
		return // It would take longer than all the rest.
	}

	var s state

	require.Eventually(t, func() bool {
		s = w.ask(question{})

		return s.Live-w.first.Live < remains && s.Descriptors <= w.first.Descriptors+1
	}, recovery+w.patience, pulse, "it was %+v, and is %+v", w.first, &s)

	// What was asked has been answered.
	require.Eventually(t, func() bool { return w.window().Missing <= 1 }, recovery, pulse)
}
