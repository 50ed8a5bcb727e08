package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// openConn is a connection that stays open until it is released.
type openConn struct{ link.Conn }

func (openConn) Carry(context.Context, *link.Parcel) (*ptypes.Ack, error) { return &ptypes.Ack{}, nil }
func (openConn) Goodbye() bool                                            { return false }
func (openConn) Release()                                                 {}

// linked returns a link to a child that has answered.
func linked(key string) *link.Link {
	return link.Attach(link.Config{Key: key, Owner: quietOwner{}}, openConn{})
}

// A child that has answered once is looked for after its loss, each time after twice as long a
// pause, until it waits no more for its parent.
func TestChildren_LostOneIsLookedForWhileItWaits(t *testing.T) {
	const patience = 10 * time.Second

	synctest.Test(t, func(t *testing.T) {
		cs, now := children{}, time.Now()
		l := linked("a")
		defer l.Close()

		cs.add(l)
		require.Same(t, l, cs.link("a"))
		require.False(t, cs.lose(l))
		require.Nil(t, cs.link("a"))

		var pauses []time.Duration

		for {
			pause, ok := cs.miss(l, now, patience)
			if !ok {
				break
			}

			pauses = append(pauses, pause)
			now = now.Add(pause)

			// The attempt makes a link that is lost again.
			next := nowhere("a")
			cs.add(next)
			require.True(t, cs.lose(next), "its loss is known")
			next.Close()
		}

		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, pauses)
		require.Empty(t, cs, "nothing is kept of it")
	})
}

// childTransitions are what may happen to a child, what is then left of it, and whether it is missed.
var childTransitions = map[string]struct {
	play   func(cs children, l *link.Link)
	missed bool
	kept   int
}{
	"a child that never answered is not missed": {
		play: func(cs children, _ *link.Link) {
			other := nowhere("a")
			defer other.Close()

			cs.add(other)
			cs.lose(other)
			cs.miss(other, time.Now(), time.Minute)
		},
	},
	"one that has answered is": {
		play: func(cs children, l *link.Link) {
			cs.add(l)
			cs.lose(l)
			cs.miss(l, time.Now(), time.Minute)
		},
		missed: true, kept: 1,
	},
	"one that answers again is not missed any more": {
		play: func(cs children, l *link.Link) {
			cs.add(l)
			cs.lose(l)
			cs.miss(l, time.Now(), time.Minute)
			cs.add(l)
			cs.opened(l)
		},
		kept: 1,
	},
	"the loss of an older link changes nothing": {
		play: func(cs children, l *link.Link) {
			older := nowhere("a")
			defer older.Close()

			cs.add(older)
			cs.add(l)
			cs.lose(older)
		},
		kept: 1,
	},
	"one that is given up": {
		play: func(cs children, l *link.Link) {
			cs.add(l)
			cs.lose(l)
			cs.miss(l, time.Now(), time.Minute)
			cs.forget("a")
		},
	},
	"one that is given up while it is there": {
		play: func(cs children, l *link.Link) {
			cs.add(l)
			cs.forget("a")
		},
		kept: 1,
	},
	"strangers": {
		play: func(cs children, l *link.Link) {
			cs.forget("a")
			cs.opened(l)
			cs.lose(l)
			cs.miss(l, time.Now(), time.Minute)
		},
	},
}

// What the session does with a lost child depends on what has been there before.
func TestChildren_Transitions(t *testing.T) {
	for name, test := range childTransitions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cs, l := children{}, linked("a")
				defer l.Close()

				test.play(cs, l)
				require.Len(t, cs, test.kept)
				require.Equal(t, test.missed, cs["a"] != nil && cs["a"].pause > 0)
			})
		})
	}
}

// The end of a session stops all attempts, and gives back the links that there are.
func TestChildren_End(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs, there, lost := children{}, linked("a"), linked("b")
		defer there.Close()
		defer lost.Close()

		timer := time.NewTimer(time.Hour)

		cs.add(there)
		cs.add(lost)
		cs.lose(lost)
		cs.miss(lost, time.Now(), time.Minute)
		cs["b"].plan(timer)

		require.Equal(t, []*link.Link{there}, cs.end())
		require.False(t, timer.Stop())
	})
}
