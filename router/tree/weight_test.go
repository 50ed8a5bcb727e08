package tree_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// Promise M3: what a table says that it takes is what it takes, whatever the addresses are like.
func TestTable_WeightIsWhatItTakes(t *testing.T) {
	const players = 20_000

	for _, host := range []string{"h", "node.example.org-", strings.Repeat("x", 200)} {
		data := handshakeFor(t, host, players)
		before := liveBytes()

		table := tableOf(t, data)
		taken := liveBytes() - before
		weight := table.(router.Weighted).Weight()

		t.Logf("%d bytes a player, and it says %d", taken/players, weight/players)
		require.Less(t, taken, weight*11/10)
		require.Less(t, weight, 2*taken)
		runtime.KeepAlive(data)
		runtime.KeepAlive(table)
	}
}

// handshakeFor returns one with that many players.
func handshakeFor(t *testing.T, host string, players int) []byte {
	t.Helper()

	list := make([]mino.Address, players)
	for i := range list {
		list[i] = session.NewAddress(fmt.Sprintf("%s%d:2000", host, i))
	}

	data, err := types.NewHandshake(3, list...).Serialize(json.NewContext())
	require.NoError(t, err)

	return data
}

// tableOf returns the table of a handshake, and keeps nothing else.
func tableOf(t *testing.T, data []byte) router.RoutingTable {
	t.Helper()

	r := tree.NewRouter(session.AddressFactory{})

	handshake, err := r.GetHandshakeFactory().HandshakeOf(json.NewContext(), data)
	require.NoError(t, err)

	table, err := r.GenerateTableFrom(handshake)
	require.NoError(t, err)

	return table
}

// liveBytes returns what is in use after a collection, in bytes.
func liveBytes() int {
	runtime.GC()
	runtime.GC()

	var stats runtime.MemStats

	runtime.ReadMemStats(&stats)

	return int(stats.HeapAlloc)
}
