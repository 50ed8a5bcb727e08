package minogrpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// chainsOf returns chains of these sizes, in an order of no meaning.
func chainsOf(sizes ...int) []*ptypes.CertificateChain {
	all := make([]*ptypes.CertificateChain, 0, len(sizes))
	for i, size := range sizes {
		all = append(all, &ptypes.CertificateChain{
			Address: fmt.Appendf(nil, "FBn%03d:1", len(sizes)-i), Value: make([]byte, size),
		})
	}

	return all
}

// Promise S3: what does not fit into an answer is left out, and nothing else.
func TestReply_SkipsWhatDoesNotFit(t *testing.T) {
	all := chainsOf(10, 1000, 20, 30)

	fit := fitting(slices.Clone(all), 150)
	require.Equal(t, []*ptypes.CertificateChain{all[0], all[2], all[3]}, fit)
}

// Promise S3: the pages of an answer are each within their bound, and have together what there is,
// each once, but for what is larger than a page.
func TestReply_PagesAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const room = 300

		all := chainsOf(rapid.SliceOfN(rapid.IntRange(1, 400), 0, 40).Draw(t, "sizes")...)
		want := map[string]bool{}

		for _, chain := range all {
			if sizeOf(chain) <= room {
				want[string(chain.GetAddress())] = true
			}
		}

		var after string

		for {
			page := pageOf(slices.Clone(all), after, room)
			size := 0

			for _, chain := range page.GetPeers() {
				require.True(t, want[string(chain.GetAddress())])
				delete(want, string(chain.GetAddress()))

				size += sizeOf(chain)
			}

			require.LessOrEqual(t, size, room)

			if len(page.GetNext()) == 0 {
				break
			}

			require.Greater(t, string(page.GetNext()), after)
			after = string(page.GetNext())
		}

		require.Empty(t, want)
	})
}

// A node that is joined at cannot keep another one asking for ever.
func TestLearnPages_EndsWithAnAnswerThatDoesNotGoOn(t *testing.T) {
	m := &Minogrpc{config: newConfig(nil)}
	asked := 0

	_, err := m.learnPages(t.Context(), true, func(r *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
		asked++
		require.Equal(t, asked == 1, r.GetTold())

		return &ptypes.JoinResponse{Next: []byte("FBa:1")}, nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, asked)
}

// Promise S3: four answers are put together at once.
func TestReply_FewAtOnce(t *testing.T) {
	m := &Minogrpc{config: newConfig(nil), replies: make(chan struct{}, maxReplies)}
	for range maxReplies {
		m.replies <- struct{}{}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := m.reply(ctx, &ptypes.JoinRequest{})
	require.ErrorIs(t, err, context.Canceled)

	<-m.replies

	_, err = m.reply(t.Context(), &ptypes.JoinRequest{})
	require.NoError(t, err)
	require.Len(t, m.replies, maxReplies-1)
}

// Promise S2: a stranger that claims to be a node costs the same whether there is such a node. Nobody
// finds out by a clock who is a member.
func TestBelieved_CostsTheSameForAStranger(t *testing.T) {
	m := &Minogrpc{config: newConfig(nil)}
	m.me = session.NewAddress("host:1")
	require.NoError(t, m.setUpCertificate())

	other := &Minogrpc{config: newConfig(nil)}
	other.me = session.NewAddress("member:1")
	require.NoError(t, other.setUpCertificate())

	member, stranger := other.me, session.NewAddress("nobody:1")
	require.NoError(t, m.store.Store(member, other.GetCertificateChain()))

	thief := &Minogrpc{config: newConfig(nil)}
	thief.me = session.NewAddress("thief:1")
	require.NoError(t, thief.setUpCertificate())

	leaf, err := x509.ParseCertificate(thief.GetCertificateChain())
	require.NoError(t, err)

	cost := func(addr session.Address) float64 {
		return testing.AllocsPerRun(100, func() {
			known, err := m.believed(addr, leaf)
			require.NoError(t, err)
			require.Error(t, m.checkProof(proof{leaf: leaf, chain: []*x509.Certificate{leaf}}, addr, known))
		})
	}

	require.InEpsilon(t, cost(member), cost(stranger), 0.1)
}

// Promise S5: hearsay is dialled once, and again only after pauses that grow, until it is proved.
func TestHearsay_IsDialledSeldom(t *testing.T) {
	var h hearsay

	addr := session.NewAddress("host:1")
	start := time.Now()
	require.NoError(t, h.dial(addr, start))

	h.add(addr)

	dials := 0

	for at := start; at.Before(start.Add(time.Hour)); at = at.Add(time.Second) {
		if h.dial(addr, at) == nil {
			dials++
		}
	}

	require.Less(t, dials, 25)
	require.Greater(t, dials, 10)

	h.proved(addr)
	require.NoError(t, h.dial(addr, start))
	require.NoError(t, h.dial(addr, start))
}
