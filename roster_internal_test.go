package session

import (
	"math"
	"testing"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

func reachedAt(version uint64) *ptypes.News {
	return &ptypes.News{State: ptypes.PlayerState_PLAYER_STATE_REACHED, Version: version}
}

func lostAt(version uint64) *ptypes.News {
	return &ptypes.News{State: ptypes.PlayerState_PLAYER_STATE_LOST, Version: version}
}

// Promise P2: of what several nodes say about a player the newest counts, in whatever order it comes.
func TestRoster_FollowsTheNewest(t *testing.T) {
	type news []*ptypes.News

	finished := &ptypes.News{State: ptypes.PlayerState_PLAYER_STATE_FINISHED}

	for name, test := range map[string]struct {
		news news
		want mino.PlayerState
		told bool // that the last of the news is one
	}{
		"reached":                        {news{reachedAt(5)}, mino.PlayerReached, true},
		"lost":                           {news{reachedAt(5), lostAt(6)}, mino.PlayerLost, true},
		"back":                           {news{reachedAt(5), lostAt(6), reachedAt(9)}, mino.PlayerBack, true},
		"adopted before the loss":        {news{reachedAt(5), reachedAt(9), lostAt(6)}, mino.PlayerReached, false},
		"never reached":                  {news{lostAt(0)}, mino.PlayerLost, true},
		"not reached any more":           {news{reachedAt(5), lostAt(0)}, mino.PlayerLost, true},
		"still there":                    {news{reachedAt(5), lostAt(0), reachedAt(6)}, mino.PlayerBack, true},
		"the same once more":             {news{reachedAt(5), lostAt(0), reachedAt(5)}, mino.PlayerLost, false},
		"finished":                       {news{reachedAt(5), finished}, mino.PlayerFinished, true},
		"finished, and lost":             {news{finished, reachedAt(5), lostAt(6)}, mino.PlayerFinished, false},
		"adopted twice without any loss": {news{reachedAt(5), reachedAt(6)}, mino.PlayerReached, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoster(inbox.New(1, 1, nil))

			for _, n := range test.news {
				_, _ = r.next(0)

				require.True(t, r.note(NewAddress("a:1"), n, nil))
			}

			require.Equal(t, test.want, r.entries[sourceKey(NewAddress("a:1"))].state)

			_, told := r.next(0)
			require.Equal(t, test.told, told)
		})
	}
}

// Promise P2: a hostile child may say any number, and its loss is told all the same.
func TestNewsroom_VersionsDoNotOverflow(t *testing.T) {
	room := &newsroom{to: NewAddress("o:1")}
	r := newRoster(inbox.New(1, 1, nil))

	for range 3 {
		require.True(t, r.note(NewAddress("a:1"), room.reached("a", math.MaxUint64).news, nil))
		require.True(t, r.note(NewAddress("a:1"), room.lost("a", "", true).news, nil))
		require.Equal(t, mino.PlayerLost, r.entries[sourceKey(NewAddress("a:1"))].state)
	}

	require.Equal(t, uint64(math.MaxUint64), after(math.MaxUint64))
	require.Nil(t, room.lost("a", "", true), "it is known")
	require.Nil(t, room.lost("b", "", false), "this node is cut off itself")
}

// Promise P2: news that nobody reads take memory for each player once, and within the budget.
func TestRoster_IsBounded(t *testing.T) {
	budget := memory.NewBudget(entryCost + 1)
	r := newRoster(inbox.New(1, 1, nil))

	for i := range uint64(1_000) {
		require.True(t, r.note(NewAddress("a:1"), reachedAt(2*i+1), budget))
		require.True(t, r.note(NewAddress("a:1"), lostAt(2*i+2), budget))
	}

	require.Equal(t, 1, r.untold.Len())
	require.False(t, r.note(NewAddress("b:1"), reachedAt(1), budget))
	r.leaveBudget()
	require.True(t, budget.Reserve(entryCost+1))
}

// Promise P2: news wait for no packet that another goroutine has taken. They wake the goroutine that waits.
func TestRoster_WakesAnotherReader(t *testing.T) {
	queue := inbox.New(1, 1, nil)
	r := newRoster(queue)

	require.NoError(t, queue.Push(inbox.Entry{}))
	require.True(t, r.note(NewAddress("a:1"), reachedAt(5), nil))

	// The first reader has taken the token. It gets the packet, and is busy with that.
	<-r.wake

	_, told := r.next(0)
	require.False(t, told)
	require.Len(t, r.wake, 1)
}
