package certs_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// A storage tells of each change once it counts, with the follower form of the address, and
// lets the function use it.
func TestWatch_ToldOfEachChange(t *testing.T) {
	for name, store := range map[string]interface {
		certs.Storage
		certs.Watchable
	}{"memory": certs.NewInMemoryStore(), "disk": openStore(t, t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			var told []mino.Address

			want := issue(t, newKey(t), "node")

			stop := store.Watch(func(addr mino.Address) {
				found, err := store.Load(addr)
				require.NoError(t, err)
				require.Equal(t, want, found)

				told = append(told, addr)
			})

			node := session.NewAddress("grpcs://node:1")
			require.NoError(t, store.Store(session.NewOrchestratorAddress(node), want))
			require.Equal(t, []mino.Address{node}, told)

			want = nil
			require.NoError(t, store.Delete(node))
			require.Equal(t, []mino.Address{node, node}, told)

			require.Error(t, store.Store(node, nil))
			stop()
			stop()
			require.NoError(t, store.Store(node, issue(t, newKey(t), "node")))
			require.Len(t, told, 2)
		})
	}
}
