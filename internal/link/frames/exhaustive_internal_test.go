package frames

import (
	"flag"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// found is a state that must not be, and how it is reached.
type found struct {
	err  error
	path []action
}

func (f *found) String() string {
	steps := make([]string, len(f.path))
	for i, a := range f.path {
		steps[i] = a.String()
	}

	return fmt.Sprintf("%v after: %s", f.err, strings.Join(steps, "; "))
}

// search tries all that may happen in a world.
type search struct {
	// seen are the states that have been reached, by two sums of what distinguishes
	// them.
	seen  map[[2]uint64]struct{}
	seeds [2]maphash.Seed

	ends int
	path []action
	bad  *found
}

func newSearch() *search {
	return &search{
		seen: make(map[[2]uint64]struct{}), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// run goes on from a state, unless it is known. It returns false when the search is over.
func (s *search) run(w *world) bool {
	state := w.sketch(make(sketch, 0, 512))
	key := [2]uint64{maphash.Bytes(s.seeds[0], state), maphash.Bytes(s.seeds[1], state)}

	if _, known := s.seen[key]; known {
		return true
	}

	s.seen[key] = struct{}{}

	actions, moves := w.actions(nil)
	if !moves {
		s.ends++

		if err := quiesce(w.clone()); err != nil {
			s.bad = &found{err, append([]action(nil), s.path...)}

			return false
		}
	}

	for i, a := range actions {
		next := w
		if i < len(actions)-1 {
			next = w.clone()
		}

		s.path = append(s.path, a)

		if err := try(func() { next.do(a) }); err != nil {
			s.bad = &found{err, append([]action(nil), s.path...)}

			return false
		}

		if !s.run(next) {
			return false
		}

		s.path = s.path[:len(s.path)-1]
	}

	return true
}

// try makes an error of what must not happen.
func try(do func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok {
				e = fmt.Errorf("panic: %v", r)
			}

			err = e
		}
	}()

	do()

	return nil
}

// quiesce lets time pass where nothing else happens, and returns what is wrong when all is
// at rest.
func quiesce(w *world) error {
	for range 10 {
		err := try(func() {
			w.passTime()

			for all, moves := w.actions(nil); moves; all, moves = w.actions(nil) {
				w.do(all[0])
			}
		})
		if err != nil {
			return err
		}
	}

	return w.atRest()
}

// passTime lets heartbeats come, and ends that wait for too long.
func (w *world) passTime() {
	for side := range w.nodes {
		n := &w.nodes[side]

		switch {
		case n.phase == flushes:
			w.part(side, true)
		case n.line != 0 && n.phase != gone:
			n.m.Tick(still)
		}
	}
}

// atRest returns what is wrong in a state in which nothing has to happen any more.
func (w *world) atRest() error {
	over := w.nodes[near].phase == gone && w.nodes[far].phase == gone

	for side := range w.nodes {
		n := &w.nodes[side]

		for id := 1; id <= n.added; id++ {
			if f := n.fates[id]; f == unknown || f >= refused && !over {
				return fmt.Errorf("parcel %d of end %d has fate %d", id, side, f)
			}
		}

		if n.box.Len() != 0 || n.box.Bytes() != 0 {
			return fmt.Errorf("end %d holds %d parcels", side, n.box.Len())
		}

		if over {
			continue
		}

		// It is odd how often the way has changed while it is cut.
		if n.m.isCut != (w.turned%2 == 1) {
			return fmt.Errorf("end %d does not know what has become of the way up", side)
		}

		if n.phase != lives {
			return fmt.Errorf("end %d hangs in phase %d", side, n.phase)
		}

		m := n.m
		kept := []int{m.unread.Len(), m.unreadBytes, m.owed, m.unsettled, m.unanswered, m.order.len(), m.partial.size}

		if slices.Max(kept) > 0 {
			return fmt.Errorf("end %d keeps %v", side, kept)
		}
	}

	return nil
}

var exhaustive = flag.Bool("exhaustive", false, "search with larger bounds, for some minutes")

// bounds are what is searched. The first is for the race detector, which makes everything
// slow and has nothing to find here, and for ints of 32 bits, which these bounds use just as
// well; the second is for every other run.
var (
	modest = []bound{
		{parcels: 3, cuts: 1, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 3, late: 3, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 2, silences: 1, inFlight: 1, unread: 2, unsettled: 2},
	}
	ordinary = []bound{
		{parcels: 3, cuts: 2, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 3, late: 3, pauses: true, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 1, cuts: 2, goodbyes: 1, turns: 3, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 2, cuts: 1, silences: 1, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 2, silences: 2, inFlight: 2, unread: 2, unsettled: 2},
		{parcels: 2, cuts: 1, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2, paced: true},
		{parcels: 2, cuts: 1, goodbyes: 1, late: 2, pauses: true, hurries: true, inFlight: 1, unread: 1, unsettled: 1},
	}
	thorough = []bound{
		{parcels: 3, cuts: 1, silences: 2, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 3, cuts: 2, goodbyes: 1, late: 1, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 3, cuts: 2, goodbyes: 1, inFlight: 2, unread: 2, unsettled: 2},
		{parcels: 3, cuts: 1, goodbyes: 1, late: 1, hurries: true, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 3, cuts: 1, late: 1, ticks: true, inFlight: 1, unread: 2, unsettled: 2},
		{parcels: 2, cuts: 2, goodbyes: 1, turns: 2, pauses: true, inFlight: 2, unread: 2, unsettled: 2},
		{parcels: 3, cuts: 1, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2, paced: true},
	}
)

// searched returns the bounds of this run.
func searched() []bound {
	switch {
	case *exhaustive:
		return slices.Concat(ordinary, thorough)
	case raced() || strconv.IntSize == 32:
		return modest
	default:
		return ordinary
	}
}

// raced tells whether the test has been built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()

	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Promises O1, M2, L5, L6: in every order in which things can happen to two ends, nothing is
// lost without a report, nothing arrives twice or out of order, every parcel is settled, and
// nothing is kept.
func TestExhaustive_TwoEnds(t *testing.T) {
	// There is nothing but garbage, and much of it.
	defer debug.SetGCPercent(debug.SetGCPercent(400))

	for _, b := range searched() {
		start := time.Now()
		s := newSearch()

		s.run(newWorld(&b, none))
		t.Logf("%+v: %d states, %d of them at rest, in %v", b, len(s.seen), s.ends, time.Since(start))
		require.Nil(t, s.bad, "%v", s.bad)
	}
}

// The search would find each of nine mistakes.
func TestExhaustive_FindsEachFault(t *testing.T) {
	plain := bound{parcels: 3, cuts: 2, goodbyes: 1, inFlight: 1, unread: 2, unsettled: 2}
	turning := bound{parcels: 1, cuts: 1, turns: 1, inFlight: 1, unread: 2, unsettled: 2}
	pauses := bound{parcels: 3, inFlight: 1, unread: 2, unsettled: 2, pauses: true}
	silent := bound{parcels: 2, silences: 1, inFlight: 1, unread: 2, unsettled: 2}

	for f, tc := range map[fault]struct {
		name  string
		bound bound
		says  string
	}{
		wrongResend:     {"wrong number to resend from", plain, "keeps"},
		oldEpoch:        {"an old epoch is taken", plain, "is taken after stream"},
		earlyReceipt:    {"a receipt before delivery", pauses, "counts as delivered before it is"},
		lostReceipts:    {"a receipt is lost at a break", plain, "has fate 0"},
		shrinkingWindow: {"a window that shrinks", plain, "end 0 keeps [0 0 0 3 0 0 0]"},
		chunkTwice:      {"a chunk twice", plain, "breaks the rules"},
		hastyGoodbye:    {"a goodbye that drops what waits", plain, "has dropped its answer"},
		countedTwice:    {"a frame counted twice", plain, "breaks the rules"},
		lostTurn:        {"a turn without a stream", turning, "what has become of the way up"},
		keptStream:      {"a stream given up and not ended", silent, "end 1 keeps [1 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSearch()
			s.run(newWorld(&tc.bound, f))
			require.NotNil(t, s.bad, "not found in %d states", len(s.seen))
			t.Logf("%d states: %v", len(s.seen), s.bad)
			require.ErrorContains(t, s.bad.err, tc.says)
		})
	}
}
