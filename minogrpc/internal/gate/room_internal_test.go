package gate

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// visitor enters rooms and notes who has had to go.
type visitor struct {
	t    *testing.T
	room *Room

	mu   sync.Mutex
	gone []string
}

// enter lets a connection in. It returns nil where there is no room within the patience.
func (v *visitor) enter(host, name string, patience time.Duration) *Guest {
	g, err := v.room.Enter(host, func() {
		v.mu.Lock()
		defer v.mu.Unlock()

		v.gone = append(v.gone, name)
	}, make(chan struct{}), patience)
	if err != nil {
		require.ErrorIs(v.t, err, ErrFull)

		return nil
	}

	return g
}

// evicted returns who has had to go since the last time.
func (v *visitor) evicted() []string {
	v.mu.Lock()
	defer v.mu.Unlock()

	gone := v.gone
	v.gone = nil

	return gone
}

// Promise S4: at a cap the oldest connection of the host with the most makes room, at once for a host
// that has fewer.
func TestRoom_HostWithTheMostMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, room: NewRoom(3, 5, time.Second)}

		for _, name := range []string{"a1", "a2", "a3", "b1", "b2"} {
			require.NotNil(t, v.enter(name[:1], name, 0))
			time.Sleep(time.Millisecond)
		}

		require.Empty(t, v.evicted())
		require.NotNil(t, v.enter("c", "c1", 0))
		require.Equal(t, []string{"a1"}, v.evicted())

		// The others have one more than this one, which waits its turn.
		require.Nil(t, v.enter("c", "c2", 500*time.Millisecond))
		require.NotNil(t, v.enter("c", "c2", time.Second))
		synctest.Wait()
		require.Len(t, v.evicted(), 1)
		require.Equal(t, 5, v.room.Len())
	})
}

// Promise S4: many connections of one host that come at once do not push each other out, as long as
// each goes soon.
func TestRoom_EqualsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, room: NewRoom(4, 100, time.Second)}

		var wg sync.WaitGroup

		for i := range 64 {
			wg.Go(func() {
				g := v.enter("a", strconv.Itoa(i), time.Minute)
				require.NotNil(t, g)
				require.LessOrEqual(t, v.room.Len(), 4)
				time.Sleep(100 * time.Millisecond)
				v.room.Leave(g)
				v.room.Leave(g)
			})
		}

		wg.Wait()
		require.Empty(t, v.evicted())
		require.Zero(t, v.room.Len())
		require.Empty(t, v.room.hosts)
	})
}

// Promise S4: connections that stay for ever keep nobody out for longer than their grace.
func TestRoom_NobodyStaysWhoIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, room: NewRoom(2, 100, time.Second)}

		for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
			require.NotNil(t, v.enter("a", name, time.Minute))
		}

		// The last one may still be told.
		synctest.Wait()
		require.Equal(t, []string{"1", "2", "3", "4"}, v.evicted())
	})
}

// With no grace nobody waits.
func TestRoom_WithoutGraceTheNewestIsIn(t *testing.T) {
	v := &visitor{t: t, room: NewRoom(10, 2, 0)}

	for _, name := range []string{"1", "2", "3", "4"} {
		require.NotNil(t, v.enter("a", name, 0))
	}

	require.Equal(t, []string{"1", "2"}, v.evicted())
}

// Promise S4: one newcomer finds room among many hosts that keep all the places taken.
func TestRoom_NewcomerFindsRoomAmongThoseWhoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, room: NewRoom(32, 256, time.Second)}
		stop := make(chan struct{})

		var wg sync.WaitGroup

		for host := range 8 {
			for range 40 {
				wg.Go(func() {
					for {
						g, err := v.room.Enter("bad "+strconv.Itoa(host), func() {}, stop, time.Minute)
						if err != nil {
							return
						}

						_ = g
					}
				})
			}
		}

		time.Sleep(5 * time.Second)

		began := time.Now()
		require.NotNil(t, v.enter("good", "good", time.Minute))
		require.Zero(t, time.Since(began))
		time.Sleep(10 * time.Second)
		require.NotContains(t, v.evicted(), "good", "others have more places")

		close(stop)
		wg.Wait()
	})
}

// The order in which a host waits is that in which it came.
func TestRoom_LeavingLetsTheNextIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, room: NewRoom(1, 1, time.Hour)}
		first := v.enter("a", "first", 0)

		var (
			mu    sync.Mutex
			order []string
			wg    sync.WaitGroup
		)

		for _, name := range []string{"second", "third"} {
			wg.Go(func() {
				g := v.enter("a", name, time.Minute)

				mu.Lock()
				order = append(order, name)
				mu.Unlock()

				v.room.Leave(g)
			})
			synctest.Wait()
		}

		v.room.Leave(first)
		wg.Wait()
		require.True(t, slices.Equal([]string{"second", "third"}, order))
		require.Empty(t, v.evicted())
	})
}
