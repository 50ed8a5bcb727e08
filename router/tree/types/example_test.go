package types_test

import (
	"fmt"

	"github.com/minogrpc/session"
	_ "github.com/minogrpc/session/router/tree/json" // registers the format
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde/json"
)

// A packet loses the destinations that are served.
func ExampleNewPacket() {
	alice, bob := session.NewAddress("alice:2000"), session.NewAddress("bob:2000")

	packet := types.NewPacket(alice, []byte("hello"), alice, bob)
	mine := packet.Slice(alice)

	fmt.Println(mine.GetDestination(), packet.GetDestination())
	// Output:
	// [grpcs://alice:2000] [grpcs://bob:2000]
}

// A test of a protocol can see what a child is told.
func ExampleNewHandshake() {
	ctx := json.NewContext()

	data, err := types.NewHandshake(2, session.NewAddress("bob:2000")).Serialize(ctx)
	fmt.Println(string(data), err)

	got, err := types.NewHandshakeFactory(session.AddressFactory{}).HandshakeOf(ctx, data)
	fmt.Println(got.(types.Handshake).GetHeight(), got.(types.Handshake).GetAddresses(), err)
	// Output:
	// {"Height":2,"Addresses":["RkJib2I6MjAwMA=="]} <nil>
	// 2 [grpcs://bob:2000] <nil>
}
