package link

import (
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

// model is what the outbox should hold.
type model struct {
	box outbox
	// held are the parcels in it, and whether they have been taken.
	held  map[*Parcel]bool
	taken map[string]uint64
	now   time.Time
}

// Promise M3: the accounts of the outbox agree with what is in it, its bounds
// hold, and each lane keeps its order.
func TestOutbox_AgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			box:   outbox{maxPackets: 12, maxBytes: 1000, perLane: 2},
			held:  make(map[*Parcel]bool),
			taken: make(map[string]uint64),
			now:   time.Unix(1000, 0),
		}

		t.Repeat(map[string]func(*rapid.T){
			"add": m.add, "take": m.take, "remove": m.remove, "expire": m.expire, "drain": m.drain, "": m.check,
		})
	})
}

func (m *model) add(t *rapid.T) {
	p := parcel(rapid.IntRange(0, 400).Draw(t, "size"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "dest"))
	if rapid.Bool().Draw(t, "several") {
		p.Keys = append(p.Keys, "other")
	}

	p.Deadline = m.now.Add(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)

	err := m.box.add(p)
	if len(m.held) == 0 {
		require.NoError(t, err)
	}

	if err == nil {
		m.held[p] = false
	}
}

func (m *model) take(t *rapid.T) {
	p := m.box.take()
	if p == nil {
		return
	}

	require.False(t, m.held[p])
	require.Greater(t, p.id, m.taken[p.queue])
	m.taken[p.queue] = p.id
	m.held[p] = true
}

func (m *model) remove(t *rapid.T) {
	for p, sent := range m.held {
		if sent {
			require.True(t, m.box.remove(p))
			require.False(t, m.box.remove(p))
			delete(m.held, p)

			return
		}
	}
}

func (m *model) expire(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)

	for _, p := range m.box.expire(m.now) {
		require.False(t, p.Deadline.After(m.now))
		delete(m.held, p)
	}

	for p := range m.held {
		require.True(t, p.Deadline.After(m.now))
	}
}

func (m *model) drain(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "now") > 0 {
		return
	}

	drained := m.box.drain()
	require.Len(t, drained, len(m.held))

	for i, p := range drained {
		require.True(t, i == 0 || drained[i-1].id < p.id)
		require.Equal(t, m.held[p], p.Sent)
	}

	clear(m.held)
}

func (m *model) check(t *rapid.T) {
	size, waiting := 0, 0
	underway := make(map[string]int)

	for p, sent := range m.held {
		size += p.size

		require.False(t, m.box.earliest.After(p.Deadline))

		if sent {
			underway[p.queue]++
			require.LessOrEqual(t, underway[p.queue], m.box.perLane)
		} else {
			waiting++
		}
	}

	require.Len(t, m.box.held, len(m.held))
	require.Equal(t, size, m.box.bytes)
	require.LessOrEqual(t, len(m.held), m.box.maxPackets)

	if len(m.held) > 1 {
		require.LessOrEqual(t, size, m.box.maxBytes)
	}

	for _, l := range m.box.lanes {
		waiting -= len(l.waiting)
		require.Equal(t, underway[l.key], l.underway)
	}

	require.Zero(t, waiting)

	if len(m.held) == 0 {
		require.Empty(t, m.box.usage)
		require.Empty(t, m.box.lanes)
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
