package existing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// uri is the procedure of these tests.
const uri = "segment/test"

// echo answers everything with the same message, until the stream ends.
var echo = existing.Handler{
	Process: func(_ existing.Address, question []byte) ([]byte, error) { return question, nil },
	Stream: func(s *existing.Session) error {
		for {
			from, msg, err := s.Recv(context.Background())
			if errors.Is(err, io.EOF) {
				return nil
			}

			if err != nil {
				return err
			}

			s.Send(msg, from)
		}
	},
}

// start returns nodes that know each other. They are stopped when the test ends.
func start(t *testing.T, n int, config func(i int) existing.Config) []*existing.Node {
	t.Helper()

	nodes := make([]*existing.Node, n)

	for i := range nodes {
		node, err := existing.Start(config(i))
		require.NoError(t, err)
		t.Cleanup(node.Stop)

		node.Handle(uri, echo)
		nodes[i] = node
	}

	for _, node := range nodes {
		for _, peer := range nodes {
			node.Trust(peer.Address(), peer.Chain())
		}
	}

	return nodes
}

// inMemory configures nodes of a network in memory.
func inMemory(t *testing.T, height int) func(i int) existing.Config {
	t.Helper()

	network := sessiontest.NewNetwork()

	return func(i int) existing.Config {
		host := fmt.Sprintf("n%d:1", i)

		listener, err := network.Listen(host)
		require.NoError(t, err)

		return existing.Config{Listener: listener, Host: host, Dial: network.Dialer(host), Height: height}
	}
}

func addressesOf(nodes []*existing.Node) []existing.Address {
	addrs := make([]existing.Address, len(nodes))
	for i, node := range nodes {
		addrs[i] = node.Address()
	}

	return addrs
}

// requireEchoes sends to all the nodes and waits for each to answer.
func requireEchoes(t *testing.T, s *existing.Session, question string, players []existing.Address) {
	t.Helper()

	require.Empty(t, s.Send([]byte(question), players...))

	answered := make(map[existing.Address]bool)

	for range players {
		from, msg, err := s.Recv(t.Context())
		require.NoError(t, err)
		require.Equal(t, question, string(msg))

		answered[from] = true
	}

	require.Len(t, answered, len(players))
}

func requireNoOddities(t *testing.T, nodes []*existing.Node) {
	t.Helper()

	for _, node := range nodes {
		require.Empty(t, node.Oddities())
	}
}

func TestNetwork_BroadcastAndRepliesOverTCP(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			nodes := start(t, 15, func(int) existing.Config {
				if !secure {
					return existing.Config{Height: 2}
				}

				cert, err := existing.NewCertificate("127.0.0.1")
				require.NoError(t, err)

				return existing.Config{Height: 2, Certificate: cert}
			})

			// The orchestrator is the last player, too.
			s, err := nodes[14].Open(t.Context(), uri, addressesOf(nodes)...)
			require.NoError(t, err)

			requireEchoes(t, s, "hello", addressesOf(nodes))
			requireEchoes(t, s, "again", addressesOf(nodes))
			requireNoOddities(t, nodes)

			answer, err := nodes[0].Call(t.Context(), uri, []byte("question"), nodes[1].Address())
			require.NoError(t, err)
			require.Equal(t, "question", string(answer))
		})
	}
}

// Cancel ends all the handlers, and leaves no stream and no connection.
func TestNetwork_CancelEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := start(t, 13, inMemory(t, 3))
		ctx, cancel := context.WithCancel(t.Context())

		s, err := nodes[12].Open(ctx, uri, addressesOf(nodes)[:12]...)
		require.NoError(t, err)
		requireEchoes(t, s, "hello", addressesOf(nodes)[:12])

		cancel()
		synctest.Wait()

		_, _, err = s.Recv(t.Context())
		require.ErrorIs(t, err, io.EOF)

		for _, node := range nodes {
			require.Zero(t, node.Sessions())
			require.Zero(t, node.Connections())
		}

		require.NotEmpty(t, s.Send([]byte("late"), nodes[0].Address()))
	})
}

func TestNetwork_UnknownDestinationHasNoRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := start(t, 8, inMemory(t, 2))

		s, err := nodes[7].Open(t.Context(), uri, addressesOf(nodes)[:7]...)
		require.NoError(t, err)

		require.Equal(t, []string{"no route to grpc://stranger:1: unknown destination"},
			s.Send([]byte("hello"), nodes[6].Address(), "FAstranger:1"))
	})
}

// A dead node in the middle of the tree costs itself. Those behind it have a new session.
func TestNetwork_DeadInteriorNodeCostsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := start(t, 12, inMemory(t, 2))
		players := addressesOf(nodes)[:11]

		s, err := nodes[11].Open(t.Context(), uri, players...)
		require.NoError(t, err)
		requireEchoes(t, s, "hello", players)

		nodes[1].Kill()
		synctest.Wait()

		failures := s.Send([]byte("again"), players...)
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], "no route to grpc://n1:1: ")

		for range len(players) - 1 {
			from, msg, err := s.Recv(t.Context())
			require.NoError(t, err)
			require.Equal(t, "again", string(msg))
			require.NotEqual(t, players[1], from)
		}
	})
}

// The orchestrator is told why the root's handler has failed.
func TestNetwork_FailureOfTheRootIsUnclean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := start(t, 2, inMemory(t, 2))
		nodes[0].Handle(uri, existing.Handler{Stream: func(*existing.Session) error { return errors.New("enough") }})

		s, err := nodes[1].Open(t.Context(), uri, nodes[0].Address())
		require.NoError(t, err)

		_, _, err = s.Recv(t.Context())
		require.ErrorContains(t, err, "stream closed unexpectedly: ")
		require.ErrorContains(t, err, "enough")
	})
}

// One token lets in any number of nodes until it expires, and all of them know each other.
func TestNetwork_OneTokenForThreeJoins(t *testing.T) {
	nodes := make([]*existing.Node, 4)

	for i := range nodes {
		cert, err := existing.NewCertificate("127.0.0.1")
		require.NoError(t, err)

		nodes[i], err = existing.Start(existing.Config{Certificate: cert})
		require.NoError(t, err)
		t.Cleanup(nodes[i].Stop)
	}

	token, digest := nodes[0].GenerateToken(time.Minute), existing.Digest(nodes[0].Chain())

	require.ErrorContains(t, nodes[1].Join(t.Context(), nodes[0].Address(), token, digest[1:]), "wrong digest")
	require.ErrorContains(t, nodes[1].Join(t.Context(), nodes[0].Address(), "guess", digest), "not valid")
	require.Error(t, nodes[1].Join(t.Context(), nodes[0].Address(), nodes[0].GenerateToken(0), digest))

	for _, node := range nodes[1:] {
		require.NoError(t, node.Join(t.Context(), nodes[0].Address(), token, digest))
	}

	for _, node := range nodes {
		for _, peer := range nodes {
			require.Equal(t, peer.Chain(), node.Known(peer.Address()))
		}
	}
}
