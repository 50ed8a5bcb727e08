package session

import (
	"context"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/stretchr/testify/require"
)

// unobserved is a witness with nobody to tell, and one packet on its way past it.
type unobserved struct {
	witness

	peer   mino.Address
	packet router.Packet
	to     recipients
	set    *pending.Set
	parcel *ptypes.Parcel
}

func newUnobserved(t testing.TB) *unobserved {
	t.Helper()

	peer := NewAddress("grpc://peer:1")
	table, err := tree.NewRouter(AddressFactory{}).New(mino.NewAddresses(), peer)
	require.NoError(t, err)

	key, err := keyOf(peer)
	require.NoError(t, err)

	w := &unobserved{peer: peer, packet: table.Make(peer, []mino.Address{peer}, []byte("hello"))}
	w.to = newRecipient(key, peer)
	w.set = pending.New(w.to.keys, pending.Func(func(int, int, error) {}))
	w.parcel = &ptypes.Parcel{Trace: []byte("carried")}

	return w
}

// pass tells all that happens to a packet from Send to its outcome.
func (w *unobserved) pass() {
	w.departs(context.Background(), w.set, w.to, 5)
	w.sent(w.peer, w.packet)
	w.received(w.peer, w.packet)
	w.arrives(w.peer, w.parcel.GetTrace(), w.packet, w.set, w.to)

	if w.wantsDeliveries() {
		w.delivered(infoOf(w.packet))
	}

	w.depth()
	w.outcome(w.set, w.to.keys[0], nil)
	w.measured(w.peer, time.Second)
}

// Hooks that nobody has set cost no memory, and leave nothing at a packet.
func TestWitness_UnsetHooksCostNothing(t *testing.T) {
	w := newUnobserved(t)

	require.Zero(t, testing.AllocsPerRun(1000, w.pass))
	require.Nil(t, w.set.Tag())
	require.Equal(t, []byte("carried"), w.arrives(w.peer, w.parcel.GetTrace(), w.packet, w.set, w.to))
}

// BenchmarkWitness_Unset is what all hooks that nobody has set cost a packet together.
func BenchmarkWitness_Unset(b *testing.B) {
	w := newUnobserved(b)

	b.ReportAllocs()

	for b.Loop() {
		w.pass()
	}
}
