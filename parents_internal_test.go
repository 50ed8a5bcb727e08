package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// quietOwner is the owner of links that lead nowhere.
type quietOwner struct{ link.Owner }

func (quietOwner) Released(*link.Link) {}

// nowhere returns a link without a neighbour.
func nowhere(key string) *link.Link {
	return link.Park(link.Config{Key: key, Owner: quietOwner{}, MaxPackets: 1, MaxBytes: 1})
}

// never returns a timer that no test waits for.
func never() *deadline.Deadline { return deadline.Start(time.Hour, time.Hour, func() {}) }

// registered returns a parent in a state.
func registered(key string, state parentState) *parent {
	par := &parent{key: key}
	par.attach(nowhere(key))

	switch state {
	case live:
	case suspect:
		par.distrust(time.Now().Add(time.Second))
	case broken:
		par.breakOff(never(), errReplaced)
	case orphaned:
		par.orphan(nowhere(key), never())
	case gone:
		par.end()
	}

	return par
}

// The states of a parent, and what changes them.
func TestParentState_Transitions(t *testing.T) {
	events := map[string]func(*parent){
		"distrust": func(p *parent) { p.distrust(time.Now().Add(time.Second)) },
		"break":    func(p *parent) { p.breakOff(never(), errReplaced) },
		"resume":   func(p *parent) { p.resume(2) },
		"park":     func(p *parent) { p.park(nowhere(p.key), never()) },
		"unpark":   func(p *parent) { p.unpark() },
		"orphan":   func(p *parent) { p.orphan(nowhere(p.key), never()) },
		"second":   func(*parent) { time.Sleep(time.Second) }, // Virtual time.
		"end":      func(p *parent) { p.end() },
	}
	table := map[parentState]map[string]parentState{
		live: {
			"distrust": suspect, "break": broken, "resume": live, "park": live, "unpark": live, "orphan": orphaned,
			"second": live, "end": gone,
		},
		suspect: {
			"distrust": suspect, "break": broken, "resume": suspect, "park": suspect, "unpark": suspect,
			"orphan": orphaned, "second": live, "end": gone,
		},
		// a broken link, and has a link to park in.
		broken: {"distrust": broken, "break": broken, "resume": live, "unpark": broken, "second": broken, "end": gone},
		// What is lost for good does not come back.
		orphaned: {"distrust": orphaned, "resume": orphaned, "unpark": orphaned, "second": orphaned, "end": gone},
		gone:     {"distrust": gone, "resume": gone, "unpark": gone, "second": gone, "end": gone},
	}

	for from, row := range table {
		for event, to := range row {
			synctest.Test(t, func(t *testing.T) {
				par := registered("p", from)
				defer par.end()

				events[event](par)
				require.Equal(t, to, par.current(), "%d, then %s", from, event)
				require.Equal(t, to == broken || to == orphaned, par.isWaiting())
			})
		}
	}
}

// Each state has the timer that ends it, and no other.
func TestParentState_Timers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		par := registered("p", live)
		require.Nil(t, par.timer)

		parked, again := nowhere("p"), never()
		par.park(parked, again)
		require.Same(t, again, par.timer)
		require.Same(t, parked, par.waitingLink())
		require.Same(t, par.link, par.outlet(), "what is new is tried at once")

		require.Empty(t, par.unpark())
		require.Nil(t, par.timer)
		require.Nil(t, par.waitingLink())

		first, second := never(), never()
		par.breakOff(first, errReplaced)
		par.breakOff(second, errReplaced)
		require.False(t, first.Stop(), "a second break has the whole time")
		require.Same(t, second, par.timer)
		require.Same(t, par.link, par.waitingLink())

		par.resume(2)
		require.Nil(t, par.timer)
		require.False(t, second.Stop())

		box, grace := nowhere("p"), never()
		par.orphan(box, grace)
		require.Same(t, grace, par.timer)
		require.Same(t, box, par.outlet())
		require.Same(t, box, par.waitingLink())

		par.end()
		par.end()
		require.Nil(t, par.timer)
		require.False(t, grace.Stop())
		<-par.over
	})
}

// Only the newest stream of a link supersedes the others.
func TestParentState_Streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		par := registered("p", live)
		first := par.stream
		third := par.resume(3)
		<-first.superseded

		// The second one was taken into use before, and tells the session later.
		<-par.resume(2).superseded

		select {
		case <-third.superseded:
			t.Fatal("an older stream has taken the place of a newer one")
		default:
		}

		fourth := par.resume(4)
		<-third.superseded
		par.end()
		par.resume(5)

		select {
		case <-fourth.superseded:
			t.Fatal("something replaces a stream of a registration that is over")
		default:
		}
	})
}

// Promise L1: whoever serves a stream is told when this end gives it up, but not when it has ended
// by itself.
func TestParentState_GivesUpItsStream(t *testing.T) {
	for cause, want := range map[error]bool{link.ErrSilent: true, link.ErrStuck: true, errReplaced: false} {
		synctest.Test(t, func(t *testing.T) {
			par := registered("p", live)
			defer par.end()

			for range 2 {
				par.breakOff(never(), cause)
			}

			select {
			case <-par.stream.givenUp:
				require.True(t, want, "%v", cause)
				require.Equal(t, cause, par.stream.cause)
			default:
				require.False(t, want, "%v", cause)
			}
		})
	}
}

// Promise L4: of several parents the newest one that has not failed lately is used, and another
// one only where there is none. What came from a parent, or was not taken by it, never goes there.
func TestParents_Pick(t *testing.T) {
	for name, test := range map[string]struct {
		states []parentState
		from   string
		failed []string
		want   string
	}{
		"none":                       {},
		"one":                        {states: []parentState{live}, want: "a"},
		"the newest":                 {states: []parentState{live, live, live}, want: "c"},
		"not a suspect":              {states: []parentState{live, suspect}, want: "a"},
		"not a broken one":           {states: []parentState{live, broken}, want: "a"},
		"not an orphaned one":        {states: []parentState{live, orphaned}, want: "a"},
		"the newest if all are lost": {states: []parentState{orphaned, broken, suspect}, want: "c"},
		"a lost one all the same":    {states: []parentState{orphaned}, want: "a"},
		"not where it came from":     {states: []parentState{live, live}, from: "b", want: "a"},
		"nowhere else":               {states: []parentState{live}, from: "a"},
		"not where it has failed": {
			states: []parentState{suspect, live, live}, failed: []string{"c", "b"}, want: "a",
		},
		"it has failed everywhere": {states: []parentState{live, broken}, failed: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ps := make(parents, 0, len(test.states))

				for i, state := range test.states {
					par := registered(string(rune('a'+i)), state)
					ps = append(ps, par)

					defer par.end()
				}

				got := ""
				if par := ps.pick(test.from, test.failed); par != nil {
					got = par.key
				}

				require.Equal(t, test.want, got)
			})
		})
	}
}

// A new registration replaces that of the same gateway, and those that are waited for: with it
// the session has been adopted.
func TestParents_AddReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := parents{
			registered("a", live), registered("b", suspect), registered("c", broken), registered("d", orphaned),
		}
		all := append(parents{}, ps...)

		ps, replaced := ps.add(registered("e", live))
		require.Equal(t, []*parent{all[2], all[3]}, replaced)

		ps, replaced = ps.add(registered("a", live))
		require.Equal(t, []*parent{all[0], all[2], all[3]}, replaced)
		require.Len(t, ps, 6)

		for _, par := range append(parents{}, ps...) {
			ps = ps.remove(par)
			par.end()
		}

		require.Empty(t, ps)
	})
}

// A parent is found by what the network names it by.
func TestParents_Find(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := parents{registered("a", live), registered("b", broken), registered("c", orphaned)}
		ps[0].follower, ps[1].linkID = "f", "id"

		require.Same(t, ps[0], ps.byKey("a"))
		require.Nil(t, ps.byKey("f"))
		require.Same(t, ps[0], ps.byFollower("f"))
		require.Nil(t, ps.byFollower(""))
		require.Same(t, ps[1], ps.byLinkID("id", "b"))
		require.Nil(t, ps.byLinkID("id", "a"), "the id alone is not enough")
		require.Same(t, ps[1], ps.byLink(ps[1].link))
		require.Nil(t, ps.byLink(ps[2].link), "the link of an orphan is over")

		for _, par := range ps {
			par.end()
		}
	})
}

// Promise L3: a session tells its tables only about lost children. When the link of a parent is lost
// that another registration has replaced, nobody is lost.
func TestLost_FormerParentIsNoChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		s := NewSession(nil, NewAddress("grpc://a:1"), nil, tree.NewRouter(AddressFactory{}).GetPacketFactory(),
			json.NewContext(), NewConnManager(), WithObserver(Observer{
				RelayLost: func(StreamInfo, mino.Address, error) { told++ },
			})).(*session)
		former := link.Park(link.Config{Key: "p", Down: true, Owner: quietOwner{}, MaxPackets: 1, MaxBytes: 1})

		(*linkOwner)(s).Lost(former, errReplaced)
		require.Zero(t, told)
		former.Close()
		s.Close()
	})
}
