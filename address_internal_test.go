package session

import (
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// A session looks its neighbours and destinations up by their text, several times
// for each packet.
func TestKeyOf_OwnAddressesCostNothing(t *testing.T) {
	for _, own := range []Address{NewAddress("h:1"), NewOrchestratorAddress(NewAddress("grpc://h:1"))} {
		text, err := own.MarshalText()
		require.NoError(t, err)

		for _, addr := range []mino.Address{own, wrapAddress(own)} {
			key, err := keyOf(addr)
			require.NoError(t, err)
			require.Equal(t, string(text), key)
			require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = keyOf(addr) }))
		}
	}
}

func TestKeyOf_AddressWithoutAHostIsEmpty(t *testing.T) {
	for _, own := range []Address{{}, NewOrchestratorAddress(nil), NewAddress("")} {
		for _, addr := range []mino.Address{own, wrapAddress(own)} {
			_, err := keyOf(addr)
			require.EqualError(t, err, "address is empty")
		}
	}
}
