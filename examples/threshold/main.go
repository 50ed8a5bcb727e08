// Command threshold lets seven nodes sign a message, each with its share of one key. Any five good shares make
// the signature. One player is slow, one dies when it is asked, and one lies. The exit code is 1 if there is no
// signature, or one that is not valid.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/bls"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/router/tree"
)

const message = "pay 5 coins to the ferryman"

// The players that are not as they should be.
const slow, dead, liar = 2, 3, 4

var (
	errLie     = errors.New("the share is not that of this player for this message")
	errInvalid = errors.New("the signature is not that of the key of all")
)

type signing = protocol.Procedure[string, bls.Signature]

// sign is what player i does: a message comes, and its share goes back.
func sign(i int, secret *secretKey, die func()) protocol.Play[string, bls.Signature] {
	return protocol.Answer(func(ctx context.Context, msg string) (bls.Signature, error) {
		switch i {
		case slow:
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done(): // Nobody waits for the share any more.
			}
		case dead:
			go die()

			<-ctx.Done()

			return nil, context.Cause(ctx)
		case liar:
			msg = "pay 500 coins to me"
		}

		return bls.Sign(secret, []byte(msg)), nil
	})
}

// collect asks the players for their shares, until k good ones make a signature. The board shows each result. If
// there are not enough, the error is a *protocol.QuorumError, which says who has given none and why.
func collect(
	ctx context.Context, p *signing, c committee, players []mino.Address, b *board,
) (bls.Signature, error) {
	index := func(player mino.Address) int { return slices.Index(players, player) }

	gathering := p.Gather(ctx, message, mino.NewAddresses(players...))
	watched := func(yield func(mino.Address, protocol.Result[bls.Signature]) bool) {
		gathering(func(from mino.Address, result protocol.Result[bls.Signature]) bool {
			if result.Err != nil {
				b.set(index(from), "✗", strings.TrimPrefix(result.Err.Error(), from.String()+": "))
			}

			return yield(from, result)
		})
	}

	// Each share is verified with the key of its player, so that a lie costs nobody else a share.
	results, err := protocol.Quorum(watched, c.k, func(from mino.Address, share bls.Signature) error {
		if !bls.Verify(c.members[index(from)], []byte(message), share) {
			b.set(index(from), "✗", "lies")

			return errLie
		}

		b.set(index(from), "✓", "a good share")

		return nil
	})
	if err != nil {
		return nil, err
	}

	shares := make(map[int]bls.Signature)
	for _, result := range results {
		shares[index(result.From)] = result.Value
	}

	return combine(shares)
}

func main() {
	err := run(os.Stdout)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "threshold:", err)

		os.Exit(1)
	}
}

func run(out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, secrets := deal(5, 7)
	players, procedures := make([]mino.Address, 7), make([]*signing, 7)

	for i := range players {
		router := tree.NewRouter(minogrpc.NewAddressFactory())

		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, minogrpc.NoTLS())
		if err != nil {
			return err
		}

		stop := func() { check(node.Stop()) }
		defer stop()

		players[i] = node.GetAddress()

		procedures[i], err = protocol.Define(node, "sign", sign(i, secrets[i], stop))
		if err != nil {
			return err
		}
	}

	_, err := fmt.Fprintf(out, "Any 5 of 7 players can sign %q. Player 3 is slow, 4 dies, and 5 lies:\n", message)
	if err != nil {
		return err
	}

	signature, err := collect(ctx, procedures[0], c, players, newBoard(out, len(players), screen.IsTerminal(out)))
	if err != nil {
		return err
	}

	return conclude(out, c, signature)
}

// conclude says what the signature is worth to those who know the key of all.
func conclude(out io.Writer, c committee, signature bls.Signature) error {
	valid := bls.Verify(c.group, []byte(message), signature)

	_, err := fmt.Fprintf(out, "Five good shares have made the signature %x..., valid: %t\n",
		signature[:min(8, len(signature))], valid)
	if err == nil && !valid {
		err = errInvalid
	}

	return err
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
