package mino_test

import (
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

func TestPlayers_IteratorGoesThroughThemInOrder(t *testing.T) {
	players := mino.NewAddresses(name("a"), name("b"), name("c"))

	require.Equal(t, 3, players.Len())
	require.Equal(t, []mino.Address{name("a"), name("b"), name("c")}, all(players.AddressIterator()))
	require.Len(t, all(players.AddressIterator()), 3, "a second iterator starts at the beginning")
}

func TestPlayers_SliceOfTheCallerIsCopied(t *testing.T) {
	addrs := []mino.Address{name("a"), name("b")}
	players := mino.NewAddresses(addrs...)
	addrs[0] = name("x")

	require.Equal(t, []mino.Address{name("a"), name("b")}, all(players.AddressIterator()))
}

func TestPlayers_TakePassesOverWhatIsNotThere(t *testing.T) {
	players := mino.NewAddresses(name("a"), name("b"), name("c"))

	taken := players.Take(mino.ListFilter([]int{2, -1, 0, 3, 2}))

	require.Equal(t, []mino.Address{name("c"), name("a"), name("c")}, all(taken.AddressIterator()))
	require.Equal(t, 3, players.Len())
}

func TestPlayers_TakeWithoutFiltersIsNobody(t *testing.T) {
	require.Zero(t, mino.NewAddresses(name("a")).Take().Len())
}

func TestAddressIterator_SeekMovesToAnIndex(t *testing.T) {
	it := mino.NewAddressIterator([]mino.Address{name("a"), name("b"), name("c")})

	for _, tt := range []struct {
		index int
		left  int
	}{{0, 3}, {2, 1}, {1, 2}, {3, 0}, {99, 0}, {-1, 3}} {
		it.Seek(tt.index)
		require.Len(t, all(it), tt.left, "seek %d", tt.index)
	}
}

func TestAddressIterator_EndIsNil(t *testing.T) {
	it := mino.NewAddressIterator(nil)

	require.False(t, it.HasNext())
	require.Nil(t, it.GetNext())
	require.Nil(t, it.GetNext())
}

// all returns what the iterator still has.
func all(it mino.AddressIterator) []mino.Address {
	var addrs []mino.Address
	for it.HasNext() {
		addrs = append(addrs, it.GetNext())
	}

	return addrs
}

// name is an address.
type name string

func (n name) MarshalText() ([]byte, error)               { return []byte(n), nil }
func (n name) String() string                             { return string(n) }
func (n name) Equal(other mino.Address) bool              { return n == other }
func (n name) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }
