package sessiontest_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
)

// A link that is frozen delivers nothing, and tells nobody, until it is healed.
func ExampleNetwork_Freeze() {
	network := sessiontest.NewNetwork()
	defer network.Close()

	listener, err := network.Listen("b:1")
	if err != nil {
		fmt.Println(err)

		return
	}

	go func() { // node b
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()

	conn, err := network.Dialer("a:1")(context.Background(), "b:1")
	if err != nil {
		fmt.Println(err)

		return
	}

	network.Freeze("b:1", "a:1")
	network.Heal("b:1", "a:1")

	said, err := io.ReadAll(conn)
	fmt.Println(string(said), err, conn.Close())

	// Output: hello <nil> <nil>
}

// The test of a protocol begins with a cluster, and goes on with what may happen to its nodes. Here t
// is that of the test.
func ExampleCluster() {
	test := func(t *testing.T) {
		t.Helper()

		c := sessiontest.Cluster(t, 7, sessiontest.WithRPC("echo", repeater{}, text("")))

		out, _, err := c.RPC(0, "echo").Stream(t.Context(), c.Players())
		if err != nil {
			t.Fatal(err)
		}

		c.Kill(5)

		for err := range out.Send(text("hello"), c.Addresses()...) {
			t.Log(err) // That of node 5: the node below it has been adopted by the root.
		}
	}

	fmt.Println("go test runs it:", test != nil)

	// Output: go test runs it: true
}

// Depths shows the shape of the routes, and what becomes of it when a player is lost.
func ExampleDepths() {
	players := make([]mino.Address, 7)
	for i := range players {
		players[i] = session.NewAddress(fmt.Sprintf("grpc://n%d:1", i))
	}

	r := tree.NewRouter(session.AddressFactory{})
	fmt.Println(sessiontest.Depths(r, players))
	fmt.Println(sessiontest.Depths(r, players, players[5]))

	// Output:
	// [0 1 1 1 1 1 2] <nil>
	// [0 1 1 1 1 -1 1] <nil>
}
