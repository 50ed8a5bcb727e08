package link

import (
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// place is an address that is nothing but its text.
type place string

func (p place) MarshalText() ([]byte, error)               { return []byte(p), nil }
func (p place) Equal(other mino.Address) bool              { return p == other }
func (p place) String() string                             { return string(p) }
func (p place) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// payload is a packet of which only the message and the destinations matter here. It
// does not copy where it need not, as is its right.
type payload struct {
	router.Packet

	data  []byte
	dests []mino.Address
}

func (p *payload) GetMessage() []byte             { return p.data }
func (p *payload) GetDestination() []mino.Address { return p.dests }

func (p *payload) Slice(addr mino.Address) router.Packet {
	i := slices.Index(p.dests, addr)
	if i < 0 {
		return nil
	}

	p.dests = slices.Delete(p.dests, i, i+1)

	return &payload{data: p.data, dests: []mino.Address{addr}}
}

func parcel(size int, keys ...string) *Parcel {
	packet := &payload{data: make([]byte, size)}
	for _, key := range keys {
		packet.dests = append(packet.dests, place(key))
	}

	return &Parcel{Packet: packet, Keys: keys, Dests: packet.dests}
}

// model is what the outbox should hold.
type model struct {
	box outbox
	// held are the parcels in it, and whether they have been taken.
	held map[*Parcel]bool
	// open are the destinations without an outcome, by the order of their parcel.
	open map[debt]bool
	// taken is the last of the parcels in each lane that were not split.
	taken map[string]uint64
	now   time.Time
}

// debt is one destination of what was added to an outbox.
type debt struct {
	order uint64
	key   string
}

// Promise M3: the accounts of the outbox agree with what is in it, its bounds
// hold, and each lane keeps its order; a split neither loses nor doubles anything.
func TestOutbox_AgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{900, 1500}).Draw(t, "budget")
		m := &model{
			box:   outbox{maxPackets: 20, maxBytes: 1000, perLane: 2, budget: memory.NewBudget(limit)},
			held:  make(map[*Parcel]bool),
			open:  make(map[debt]bool),
			taken: make(map[string]uint64),
			now:   time.Unix(1000, 0),
		}

		t.Repeat(map[string]func(*rapid.T){
			"add": m.add, "take": m.take, "remove": m.remove, "expire": m.expire, "drain": m.drain,
			"stick": m.stick, "": m.check,
		})
	})
}

func (m *model) add(t *rapid.T) {
	keys := rapid.SampledFrom([][]string{{"a", "b", "c"}, {"a"}, {"b", "a"}}).Draw(t, "destinations")
	p := parcel(rapid.SampledFrom([]int{1, 30, 400}).Draw(t, "size"), keys...)
	p.Deadline = m.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)

	err := m.box.add(p)
	if len(m.held) == 0 {
		require.NoError(t, err)
	}

	if err == nil {
		m.held[p] = false

		for _, key := range keys {
			m.open[debt{order: p.id, key: key}] = true
		}
	}
}

// stick takes all that may leave, and makes it seem that no call has ended for a long
// time.
func (m *model) stick(t *rapid.T) {
	for m.next(t) != nil {
		continue
	}

	m.box.findStuck(time.Now().Add(time.Hour))
}

func (m *model) take(t *rapid.T) {
	m.next(t)
}

// next takes a parcel, and learns of the parts that were made on the way.
func (m *model) next(t *rapid.T) *Parcel {
	p := m.box.take()

	for _, part := range m.box.held {
		if _, known := m.held[part]; !known {
			m.held[part] = false
		}
	}

	if p == nil {
		return nil
	}

	require.NoError(t, p.spoiled)
	require.False(t, m.held[p])
	m.held[p] = true

	// What was split comes later to a lane that is not its own.
	if p.id == p.order && p.size == p.measure() {
		require.Greater(t, p.order, m.taken[p.queue])
		m.taken[p.queue] = p.order
	}

	return p
}

// settle forgets a parcel that has an outcome.
func (m *model) settle(t *rapid.T, p *Parcel) {
	delete(m.held, p)

	for _, key := range p.Keys {
		require.True(t, m.open[debt{order: p.order, key: key}])
		delete(m.open, debt{order: p.order, key: key})
	}
}

func (m *model) remove(t *rapid.T) {
	for p, sent := range m.held {
		if sent {
			require.True(t, m.box.remove(p))
			require.False(t, m.box.remove(p))

			if rapid.Bool().Draw(t, "answered") {
				m.box.moved(p)
			}

			m.settle(t, p)

			return
		}
	}
}

func (m *model) expire(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)

	for _, p := range m.box.expire(m.now) {
		require.False(t, p.Deadline.After(m.now))
		m.settle(t, p)
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
		require.True(t, i == 0 || drained[i-1].order <= p.order)
		require.Equal(t, m.held[p], p.Sent)
		m.settle(t, p)
	}

	require.Empty(t, m.open)
}

func (m *model) check(t *rapid.T) {
	m.checkLanes(t)
	m.checkAccounts(t)

	if len(m.held) == 0 {
		require.Empty(t, m.box.usage)
		require.Empty(t, m.box.lanes)
	}
}

func (m *model) checkLanes(t *rapid.T) {
	waiting := 0
	underway := make(map[string]int)

	for p, sent := range m.held {
		require.False(t, m.box.alarm().After(p.Deadline))

		if sent {
			underway[p.queue]++
			require.LessOrEqual(t, underway[p.queue], m.box.perLane)
		} else {
			waiting++
		}
	}

	for _, l := range m.box.lanes {
		waiting -= len(l.waiting)
		require.Equal(t, underway[l.key], l.underway)
	}

	require.Zero(t, waiting)
}

func (m *model) checkAccounts(t *rapid.T) {
	size := 0
	used := make(map[string]usage)
	open := make(map[debt]bool)

	for p := range m.held {
		size += p.size

		for i, key := range p.Keys {
			require.Equal(t, p.Dests[i], p.Packet.GetDestination()[i])
			require.Equal(t, place(key), p.Dests[i])

			u := used[key]
			used[key] = usage{packets: u.packets + 1, bytes: u.bytes + p.size}
			open[debt{order: p.order, key: key}] = true
		}
	}

	require.Len(t, m.box.held, len(m.held))
	require.Equal(t, size, m.box.bytes)
	require.Equal(t, size, m.box.budget.Used())
	require.LessOrEqual(t, len(m.held), m.box.maxPackets)
	require.Equal(t, m.open, open)

	if len(m.held) > 1 {
		require.LessOrEqual(t, size, m.box.maxBytes)
	}

	if len(m.held) > 0 {
		require.Equal(t, used, m.box.usage)
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
