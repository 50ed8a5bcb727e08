package tree_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// What a packet costs at each node between known addresses, in allocations: itself
// and its destinations, and nothing to look at it.
func TestPacket_StepsCostFewAllocations(t *testing.T) {
	var me mino.Address = session.NewAddress("me:1")

	factory, ctx := newFactory(), json.NewContext()

	for _, tt := range []struct{ dests, list float64 }{{1, 1}, {8, 2}} {
		dests := addresses(int(tt.dests))

		table, err := newRouter().New(nil, me)
		require.NoError(t, err)

		p := table.Make(me, dests, []byte("hello")).(router.BinaryPacket)
		data, err := p.Serialize(ctx)
		require.NoError(t, err)
		header, err := p.AppendHeader(nil)
		require.NoError(t, err)

		for name, step := range map[string]struct {
			most float64
			run  func()
		}{
			"Make":           {1 + tt.list, func() { table.Make(me, dests, nil) }},
			"Slice":          {0, func() { p.Slice(me) }},
			"Forward":        {3, func() { table.Forward(p) }}, // the map takes two
			"Serialize":      {1, func() { _, _ = p.Serialize(ctx) }},
			"PacketOf":       {3 + tt.list, func() { _, _ = factory.PacketOf(ctx, data) }}, // and context and message
			"AppendHeader":   {0, func() { _, _ = p.AppendHeader(header[:0]) }},
			"PacketOfHeader": {1 + tt.list, func() { _, _ = factory.PacketOfHeader(header, nil) }},
		} {
			require.LessOrEqual(t, testing.AllocsPerRun(100, step.run), step.most, "%s to %v", name, tt.dests)
		}
	}
}

func TestSlice_LeavesTheOthers(t *testing.T) {
	all := addresses(3)
	table := newTable(t, newRouter(), all)

	for i, addr := range all {
		p := table.Make(all[0], all, []byte("hello"))
		before := p.GetDestination()

		var others []mino.Address
		for j := range all {
			if j != i {
				others = append(others, all[j])
			}
		}

		require.Equal(t, []mino.Address{addr}, p.Slice(addr).GetDestination())
		require.Equal(t, others, p.GetDestination())
		require.Equal(t, all, before)

		for _, other := range others {
			require.NotNil(t, p.Slice(other))
		}

		require.Empty(t, p.GetDestination())
		require.Nil(t, p.Slice(addr))
	}
}

func TestSlice_AddressWithoutATextIsNoDestination(t *testing.T) {
	table := newTable(t, newRouter(), nil)
	p := table.Make(addresses(1)[0], []mino.Address{nil, session.Address{}, addresses(1)[0]}, nil)

	for _, addr := range []mino.Address{nil, session.Address{}, failingAddress{}, unhashable{""}} {
		require.Nil(t, p.Slice(addr))
	}

	require.Len(t, p.GetDestination(), 3)
}
