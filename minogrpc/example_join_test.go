package minogrpc_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router/tree"
)

// Two nodes with TLS do not talk to each other before one of them has joined. What the
// operator carries from the one to the other is an address, a token and a digest.
func ExampleMinogrpc_Join() {
	alice, question := listening()
	defer stop(alice)

	bob, _ := listening()
	defer stop(bob)

	fmt.Println(ask(question, bob))

	// At the node that lets others in.
	token := alice.GenerateToken(time.Hour)
	digest, err := alice.GetCertificateStore().Hash(alice.GetCertificateChain())
	fatal(err)

	where, err := url.Parse(alice.GetAddress().String())
	fatal(err)

	// At the one that joins.
	fatal(bob.Join(where, token, digest))

	fmt.Println(ask(question, bob))
	fmt.Println(len(members(alice)), "nodes are known to alice, and", len(members(bob)), "to bob")

	// Output:
	// refused
	// bob has answered: hello
	// 2 nodes are known to alice, and 2 to bob
}

// listening returns a node on a free port that answers with the question.
func listening() (*minogrpc.Minogrpc, mino.RPC) {
	router := tree.NewRouter(minogrpc.NewAddressFactory())

	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router)
	fatal(err)

	return node, mino.MustCreateRPC(node, "question", echo, texts{})
}

// ask asks the node and returns what comes of it.
func ask(rpc mino.RPC, node *minogrpc.Minogrpc) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	answers, err := rpc.Call(ctx, text("hello"), mino.NewAddresses(node.GetAddress()))
	fatal(err)

	answer, err := (<-answers).GetMessageOrError()
	if err != nil {
		return "refused"
	}

	return fmt.Sprint("bob has answered: ", answer)
}

// members returns the nodes in the store of a node, itself included.
func members(node *minogrpc.Minogrpc) (addrs []mino.Address) {
	fatal(node.GetCertificateStore().Range(func(addr mino.Address, _ certs.CertChain) bool {
		addrs = append(addrs, addr)

		return true
	}))

	return addrs
}

func stop(node *minogrpc.Minogrpc) {
	fatal(node.Stop())
}

func fatal(err error) {
	if err != nil {
		log.Panic(err)
	}
}
