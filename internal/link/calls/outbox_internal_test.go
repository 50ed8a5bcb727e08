package calls

import (
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/parcel"
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

func newParcel(size int, keys ...string) *parcel.Parcel {
	packet := &payload{data: make([]byte, size)}
	for _, key := range keys {
		packet.dests = append(packet.dests, place(key))
	}

	return &parcel.Parcel{Packet: packet, Keys: keys, Dests: packet.dests}
}

// outbox is a box with its lanes, as a link has them.
type outbox struct {
	*parcel.Box
	*Lanes
}

func newOutbox(box parcel.Box, perLane int) *outbox {
	return &outbox{Box: &box, Lanes: NewLanes(&box, perLane)}
}

func (o *outbox) add(p *parcel.Parcel) error {
	err := o.Add(p)
	if err == nil {
		o.Push(p)
	}

	return err
}

func (o *outbox) take() *parcel.Parcel {
	p, err := o.Take()
	if err != nil {
		panic(err)
	}

	return p
}

func (o *outbox) remove(p *parcel.Parcel) bool {
	removed := o.Remove(p)
	if removed {
		o.Left(p)
	}

	return removed
}

func (o *outbox) expire(now time.Time) []*parcel.Parcel {
	expired := o.Expire(now)
	if len(expired) > 0 {
		o.forget(expired)
	}

	return expired
}

func (o *outbox) drain() []*parcel.Parcel {
	defer o.Clear()

	return o.Drain()
}

// alarm is when there is something to do for the deadlines or for the lanes.
func (o *outbox) alarm() time.Time {
	if due := o.Due(); !due.IsZero() && due.Before(o.Earliest()) {
		return due
	}

	return o.Earliest()
}

// sent returns the oldest parcel that is under way.
func (o *outbox) sent() *parcel.Parcel {
	all := o.All()

	return all[slices.IndexFunc(all, func(p *parcel.Parcel) bool { return p.Sent })]
}

// model is what the outbox should hold.
type model struct {
	box *outbox
	// held are the parcels in it, and whether they have been taken.
	held map[*parcel.Parcel]bool
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
			box:   newOutbox(parcel.Box{MaxPackets: 20, MaxBytes: 10_000, Budget: memory.NewBudget(limit)}, 2),
			held:  make(map[*parcel.Parcel]bool),
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
	p := newParcel(rapid.SampledFrom([]int{1, 30, 400}).Draw(t, "size"), keys...)
	p.Deadline = m.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)

	err := m.box.add(p)
	if len(m.held) == 0 {
		require.NoError(t, err)
	}

	if err == nil {
		m.held[p] = false

		for _, key := range keys {
			m.open[debt{order: p.ID, key: key}] = true
		}
	}
}

// stick takes all that may leave, and makes it seem that no call has ended for a long
// time.
func (m *model) stick(t *rapid.T) {
	for m.next(t) != nil {
		continue
	}

	m.box.findOverdue(time.Now().Add(time.Hour))
}

func (m *model) take(t *rapid.T) {
	m.next(t)
}

// next takes a parcel, and learns of the parts that were made on the way.
func (m *model) next(t *rapid.T) *parcel.Parcel {
	p := m.box.take()

	for _, part := range m.box.All() {
		if _, known := m.held[part]; !known {
			m.held[part] = false
		}
	}

	if p == nil {
		return nil
	}

	require.False(t, m.held[p])
	m.held[p] = true

	// What was split comes later to a lane that is not its own.
	if p.ID == p.Rank && p.Counted == p.Size() {
		require.Greater(t, p.Rank, m.taken[p.Lane])
		m.taken[p.Lane] = p.Rank
	}

	return p
}

// settle forgets a parcel that has an outcome.
func (m *model) settle(t *rapid.T, p *parcel.Parcel) {
	delete(m.held, p)

	for _, key := range p.Keys {
		require.True(t, m.open[debt{order: p.Rank, key: key}])
		delete(m.open, debt{order: p.Rank, key: key})
	}
}

func (m *model) remove(t *rapid.T) {
	for p, sent := range m.held {
		if sent {
			require.True(t, m.box.remove(p))
			require.False(t, m.box.remove(p))

			if rapid.Bool().Draw(t, "answered") {
				m.box.Moved(p)
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
		require.True(t, i == 0 || drained[i-1].Rank <= p.Rank)
		require.Equal(t, m.held[p], p.Sent)
		m.settle(t, p)
	}

	require.Empty(t, m.open)
}

func (m *model) check(t *rapid.T) {
	m.checkLanes(t)
	m.checkAccounts(t)

	if len(m.held) == 0 {
		require.Empty(t, m.box.lanes)
	}
}

func (m *model) checkLanes(t *rapid.T) {
	waiting := 0
	underway := make(map[string]int)

	for p, sent := range m.held {
		require.False(t, m.box.alarm().After(p.Deadline))

		if sent {
			underway[p.Lane]++
			require.LessOrEqual(t, underway[p.Lane], m.box.perLane)
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
	used := make(map[string]int)
	open := make(map[debt]bool)

	for p := range m.held {
		size += p.Counted

		for i, key := range p.Keys {
			require.Equal(t, p.Dests[i], p.Packet.GetDestination()[i])
			require.Equal(t, place(key), p.Dests[i])

			used[key] += p.Counted
			open[debt{order: p.Rank, key: key}] = true
		}
	}

	require.Equal(t, len(m.held), m.box.Len())
	require.Equal(t, size, m.box.Bytes())
	require.Equal(t, size, m.box.Budget.Used())
	require.LessOrEqual(t, len(m.held), m.box.MaxPackets)
	require.Equal(t, m.open, open)

	if len(m.held) > 1 {
		require.LessOrEqual(t, size, m.box.MaxBytes)
	}

	for _, key := range []string{"a", "b", "c"} {
		_, bytes := m.box.Usage(key)
		require.Equal(t, used[key], bytes)
	}
}

// Promise M3: lanes take turns, so that a destination with much to send does not
// hold up one with little.
func TestOutbox_LanesTakeTurns(t *testing.T) {
	box := newOutbox(parcel.Box{MaxPackets: 100, MaxBytes: 100_000}, 8)

	for range 5 {
		require.NoError(t, box.add(newParcel(1, "a")))
	}

	require.NoError(t, box.add(newParcel(1, "b")))
	require.Equal(t, []string{"a"}, box.take().Keys)
	require.Equal(t, []string{"b"}, box.take().Keys)
	require.Equal(t, []string{"a"}, box.take().Keys)
}
