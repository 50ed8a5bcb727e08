package trust

import (
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// newOwn returns the certificate of a node without peers.
func newOwn(t *testing.T, addr string) *Own {
	t.Helper()

	own, err := NewOwn(OwnConfig{Random: rand.Reader}, newPeers(addr))
	require.NoError(t, err)

	return own
}

// Promise S2: a stranger that claims to be a node costs the same whether there is such a node. Nobody
// finds out by a clock who is a member.
func TestBelieved_CostsTheSameForAStranger(t *testing.T) {
	own, other, thief := newOwn(t, "host:1"), newOwn(t, "member:1"), newOwn(t, "thief:1")
	guard := NewGuard(own.peers, own, false, nil)

	member, stranger := other.peers.Me, session.NewAddress("nobody:1")
	require.NoError(t, own.peers.Store.Store(member, other.Chain()))

	leaf, err := x509.ParseCertificate(thief.Chain())
	require.NoError(t, err)

	cost := func(addr session.Address) float64 {
		return testing.AllocsPerRun(100, func() {
			known, err := guard.believed(addr, leaf)
			require.NoError(t, err)
			require.Error(t, guard.checkProof(&Caller{Chain: []*x509.Certificate{leaf}}, addr, known))
		})
	}

	require.InEpsilon(t, cost(member), cost(stranger), 0.1)
}
