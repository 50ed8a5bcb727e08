package mino_test

import (
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// Filters choose some of the players, by their indices.
func ExamplePlayers() {
	players := mino.NewAddresses(
		session.NewAddress("grpc://a:1"), session.NewAddress("grpc://b:1"), session.NewAddress("grpc://c:1"))

	show := func(players mino.Players) {
		var addrs []mino.Address
		for it := players.AddressIterator(); it.HasNext(); {
			addrs = append(addrs, it.GetNext())
		}

		fmt.Println(addrs)
	}

	show(players.Take(mino.IndexFilter(2), mino.IndexFilter(0)))
	show(players.Take(mino.RangeFilter(0, 3), mino.RejectFilter(1)))
	show(players.Take(mino.RangeFilter(0, 3), mino.RotateFilter(1))) // another root for the same players

	// Output:
	// [grpc://a:1 grpc://c:1]
	// [grpc://a:1 grpc://c:1]
	// [grpc://b:1 grpc://c:1 grpc://a:1]
}
