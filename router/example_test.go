package router_test

import (
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/tree"
)

// A table says which neighbour is the next hop of each destination, also when one is lost. In this
// tree of seven players n6 is a child of n5, and the others are children of n0.
func Example() {
	players := make([]mino.Address, 7)
	for i := range players {
		players[i] = session.NewAddress(fmt.Sprintf("grpc://n%d:1", i))
	}

	table, err := tree.NewRouter(session.AddressFactory{}).New(mino.NewAddresses(players...), players[0])
	if err != nil {
		fmt.Println(err)

		return
	}

	packet := table.Make(players[0], players[4:], []byte("hello"))
	show := func() {
		routes, _ := table.Forward(packet)
		for _, addr := range players {
			if part := routes[addr]; part != nil {
				fmt.Println(addr, "gets what is for", part.GetDestination())
			}
		}
	}

	show()
	fmt.Println("another way:", table.OnFailure(players[5]) == nil)
	show()

	// Output:
	// grpc://n4:1 gets what is for [grpc://n4:1]
	// grpc://n5:1 gets what is for [grpc://n5:1 grpc://n6:1]
	// another way: true
	// grpc://n4:1 gets what is for [grpc://n4:1]
	// grpc://n6:1 gets what is for [grpc://n6:1]
}
