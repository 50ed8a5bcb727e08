// Command tutorial asks seven nodes, and one that does not exist, to sign a message.
package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var signing *Signing

	addrs := make([]mino.Address, 0, 8)
	for range 7 {
		_, key, err := ed25519.GenerateKey(nil)
		check(err)

		addr, procedure, stop := StartNode(key)
		defer stop()

		addrs, signing = append(addrs, addr), procedure
	}

	addrs = append(addrs, session.NewAddress("grpc://nobody:1"))

	for addr, result := range signing.Gather(ctx, Ask{Message: "hello"}, mino.NewAddresses(addrs...)) {
		if result.Err != nil {
			fmt.Println(result.Err)
		} else {
			fmt.Printf("%v signs: %x\n", addr, result.Value.Signature[:8])
		}
	}
}
