package trust

import (
	"context"
	"fmt"
	"slices"
	"testing"

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
func TestAnswer_SkipsWhatDoesNotFit(t *testing.T) {
	all := chainsOf(10, 1000, 20, 30)

	fit := fitting(slices.Clone(all), 150)
	require.Equal(t, []*ptypes.CertificateChain{all[0], all[2], all[3]}, fit)
}

// Promise S3: the pages of an answer are each within their bound, and have together what there is,
// each once, but for what is larger than a page.
func TestAnswer_PagesAreTheWhole(t *testing.T) {
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
	peers := newPeers("self:1")
	asked := 0

	_, err := peers.learnPages(t.Context(), true, func(r *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
		asked++
		require.Equal(t, asked == 1, r.GetTold())

		return &ptypes.JoinResponse{Next: []byte("FBa:1")}, nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, asked)
}

// Promise S3: four answers are put together at once.
func TestAnswer_FewAtOnce(t *testing.T) {
	peers := newPeers("self:1")
	for range maxReplies {
		peers.replies <- struct{}{}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := peers.Answer(ctx, &ptypes.JoinRequest{})
	require.ErrorIs(t, err, context.Canceled)

	<-peers.replies

	_, err = peers.Answer(t.Context(), &ptypes.JoinRequest{})
	require.NoError(t, err)
	require.Len(t, peers.replies, maxReplies-1)
}
