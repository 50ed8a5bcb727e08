package link

import (
	"fmt"
	"testing"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// payload is a packet of which only the message matters here.
type payload struct {
	router.Packet
	data []byte
}

func (p payload) GetMessage() []byte             { return p.data }
func (p payload) GetDestination() []mino.Address { return nil }

func parcel(size int, keys ...string) *Parcel {
	return &Parcel{Packet: payload{data: make([]byte, size)}, Keys: keys}
}

// Promise M3: the accounts of the outbox agree with what is in it, its bounds
// hold, and each lane keeps its order.
func TestOutbox_AgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxPackets, maxBytes, perLane = 12, 1000, 2

		box := outbox{maxPackets: maxPackets, maxBytes: maxBytes, perLane: perLane}
		held := make(map[*Parcel]bool) // and whether it has been taken
		taken := make(map[string]uint64)
		now := time.Unix(1000, 0)

		remove := func(p *Parcel) {
			require.True(t, box.remove(p))
			require.False(t, box.remove(p))
			delete(held, p)
		}

		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := parcel(rapid.IntRange(0, 400).Draw(t, "size"), fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "dest")))
				if rapid.Bool().Draw(t, "several") {
					p.Keys = append(p.Keys, "other")
				}

				p.Deadline = now.Add(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)

				err := box.add(p)
				if len(held) == 0 {
					require.NoError(t, err)
				}

				if err == nil {
					held[p] = false
				}
			},
			"take": func(t *rapid.T) {
				p := box.take()
				if p == nil {
					return
				}

				require.False(t, held[p])
				require.Greater(t, p.ID(), taken[p.lane()])
				taken[p.lane()] = p.ID()
				held[p] = true
			},
			"remove": func(*rapid.T) {
				for p, sent := range held {
					if sent {
						remove(p)

						return
					}
				}
			},
			"expire": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)

				for _, p := range box.expire(now) {
					require.False(t, p.Deadline.After(now))
					delete(held, p)
				}
			},
			"drain": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "now") > 0 {
					return
				}

				drained := box.drain()
				require.Len(t, drained, len(held))

				for i, p := range drained {
					require.True(t, i == 0 || drained[i-1].ID() < p.ID())
					require.Equal(t, held[p], p.Sent)
				}

				clear(held)
			},
			"": func(t *rapid.T) { checkAccounts(t, &box, held, now) },
		})
	})
}

func checkAccounts(t *rapid.T, box *outbox, held map[*Parcel]bool, now time.Time) {
	size, waiting := 0, 0
	underway := make(map[string]int)

	for p, sent := range held {
		size += p.Size()

		require.False(t, box.earliest.After(p.Deadline))

		if sent {
			underway[p.lane()]++
			require.LessOrEqual(t, underway[p.lane()], box.perLane)
		} else {
			waiting++
		}
	}

	require.Len(t, box.held, len(held))
	require.Equal(t, size, box.bytes)
	require.LessOrEqual(t, len(held), box.maxPackets)

	if len(held) > 1 {
		require.LessOrEqual(t, size, box.maxBytes)
	}

	for _, l := range box.lanes {
		waiting -= len(l.waiting)
		require.Equal(t, underway[l.key], l.underway)
	}

	require.Zero(t, waiting)

	if len(held) == 0 {
		require.Empty(t, box.usage)
		require.Empty(t, box.lanes)
	}
}

// Promise M3: lanes take turns, so that a destination with much to send does not
// hold up one with little.
func TestOutbox_LanesTakeTurns(t *testing.T) {
	box := outbox{maxPackets: 100, maxBytes: 1000, perLane: 8}

	for range 5 {
		require.NoError(t, box.add(parcel(1, "a")))
	}

	require.NoError(t, box.add(parcel(1, "b")))
	require.Equal(t, []string{"a"}, box.take().Keys)
	require.Equal(t, []string{"b"}, box.take().Keys)
	require.Equal(t, []string{"a"}, box.take().Keys)
}
