package matrix_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	model "github.com/minogrpc/session/internal/existing"
	"github.com/stretchr/testify/require"
)

// joinable is a node of either kind with a store of its own.
type joinable interface {
	node

	token(d time.Duration) string
	digest() []byte
	join(ctx context.Context, to text, token string, digest []byte) error
	// known returns the certificates that the node holds for an address, or nil.
	known(addr text) []byte
	presented() []byte
}

func (o *ourNode) token(d time.Duration) string { return o.GenerateToken(d) }
func (o *ourNode) presented() []byte            { return o.GetCertificateChain() }

func (o *ourNode) digest() []byte {
	sum, _ := o.GetCertificateStore().Hash(o.GetCertificateChain()) // in memory, where it never fails

	return sum
}

func (o *ourNode) join(_ context.Context, to text, token string, digest []byte) error {
	return o.Join(&url.URL{Scheme: "grpcs", Host: string(to[2:])}, token, digest)
}

func (o *ourNode) known(addr text) []byte {
	chain, _ := o.GetCertificateStore().Load(addressOf(addr)) // in memory, where it never fails

	return chain
}

func (e *existingNode) token(d time.Duration) string { return e.GenerateToken(d) }
func (e *existingNode) presented() []byte            { return e.Chain() }
func (e *existingNode) digest() []byte               { return model.Digest(e.Chain()) }
func (e *existingNode) known(addr text) []byte       { return e.Known(model.Address(addr)) }

func (e *existingNode) join(ctx context.Context, to text, token string, digest []byte) error {
	return e.Join(ctx, model.Address(to), token, digest)
}

// startStranger starts a node with TLS and stores of its own, which know nobody else.
func startStranger(t *testing.T, k kind) joinable {
	t.Helper()

	w := emptyNetwork(mixture{})
	n := w.start(t, k, nodeConfig{height: 3, tls: true})

	j, ok := n.(joinable)
	require.True(t, ok)

	return j
}

// An existing network lets in several nodes with one token, whoever is the one that they
// join, and whoever they are. Each hears of those who come later.
func TestJoin_OneTokenForThreeInBothDirections(t *testing.T) {
	kinds := []kind{ours, existing}

	for _, k := range kinds {
		t.Run("through "+string(k), func(t *testing.T) {
			host := startStranger(t, k)
			token := host.token(time.Minute)
			newcomers := []kind{ours, existing, ours, existing}
			members := append(make([]joinable, 0, 1+len(newcomers)), host)

			for _, newcomer := range newcomers {
				n := startStranger(t, newcomer)
				require.NoError(t, n.join(t.Context(), host.address(), token, host.digest()), "%s joins", newcomer)

				members = append(members, n)
			}

			// Promise of Share: all know all.
			for _, member := range members {
				for _, peer := range members {
					require.Equal(t, peer.presented(), member.known(peer.address()),
						"%s does not know %s", member.kind(), peer.kind())
				}
			}

			requireStream(t, members)
		})
	}
}

// requireStream checks that the members of a network, each with a store of its own, can have
// a stream together. The host opens it, and the first that has joined is the root.
func requireStream(t *testing.T, members []joinable) {
	t.Helper()

	players := make([]text, 0, len(members))
	for _, n := range append(members[1:len(members):len(members)], members[0]) {
		players = append(players, n.address())
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	s, err := members[0].open(ctx, players)
	require.NoError(t, err)
	requireEchoes(t, s, "hello", players)
}

func TestJoin_WrongTokenOrDigest(t *testing.T) {
	kinds := []kind{ours, existing}

	for _, k := range kinds {
		for _, newcomer := range kinds {
			t.Run(string(newcomer)+" through "+string(k), func(t *testing.T) {
				host, n := startStranger(t, k), startStranger(t, newcomer)
				wrong := append([]byte{}, host.digest()...)
				wrong[0]++

				require.Error(t, n.join(t.Context(), host.address(), "guess", host.digest()))
				require.Error(t, n.join(t.Context(), host.address(), host.token(0), host.digest()))
				require.Error(t, n.join(t.Context(), host.address(), host.token(time.Minute), wrong))
				require.Nil(t, host.known(n.address()), "it has been let in")
			})
		}
	}
}
