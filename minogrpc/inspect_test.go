package minogrpc_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// telling starts nodes that may be asked, but for some.
func telling(t *testing.T, n int, except ...int) *sessiontest.Nodes {
	t.Helper()

	start := func(p sessiontest.Place) (sessiontest.Node, error) {
		opts := []minogrpc.Option{
			minogrpc.NoTLS(), minogrpc.WithListener(p.Listener),
			minogrpc.WithDialOptions(grpc.WithContextDialer(p.Dial)),
		}

		if !slices.Contains(except, p.Index) {
			opts = append(opts, minogrpc.WithInspection())
		}

		return minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: p.Host},
			tree.NewRouter(minogrpc.NewAddressFactory()), opts...)
	}

	return sessiontest.Cluster(t, n, sessiontest.WithNodes(start),
		sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))
}

// branches returns the nodes of a tree, by address.
func branches(all []minogrpc.Branch) map[string]minogrpc.Branch {
	found := make(map[string]minogrpc.Branch)

	for _, b := range all {
		found[b.Address] = b

		maps.Copy(found, branches(b.Below))
	}

	return found
}

// rootTree asks for the tree below node 0 in its only stream as a player.
func rootTree(t *testing.T, c *sessiontest.Nodes) minogrpc.Descendants {
	t.Helper()

	node := c.Node(0).(*minogrpc.Minogrpc)
	all := node.Descendants(t.Context(), node.Snapshot())
	i := slices.IndexFunc(all, func(d minogrpc.Descendants) bool { return d.Role == host.StreamRoot })
	require.GreaterOrEqual(t, i, 0)

	return all[i]
}

// Promise P3: the root learns what the nodes below it know, each in its place, and waits for none that is
// frozen.
func TestDescendants_TellTheWholeTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := telling(t, 40)
		newsOf(t, c, c.Players())

		above := parentsOf(t, c)
		found := branches(rootTree(t, c).Below)
		require.Len(t, found, 39)

		for i := 1; i < c.Len(); i++ {
			b := found[c.Address(i).String()]
			require.Empty(t, b.Missing)
			require.Equal(t, host.StreamPlayer, b.Stream.Role)
			require.Equal(t, "work", b.Stream.Procedure)
			require.Len(t, b.Stream.Parents, 1)
			require.Equal(t, c.Address(above[i]).String(), b.Stream.Parents[0].Address)
			require.Len(t, b.Below, len(b.Stream.Children))
		}

		frozen := inTheMiddle(above, false)
		c.Freeze(frozen)
		time.Sleep(time.Second)

		begun := time.Now()
		found = branches(rootTree(t, c).Below)
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
		require.Equal(t, "has not told in time", found[c.Address(frozen).String()].Missing)
		require.Nil(t, found[c.Address(frozen).String()].Stream)
		require.Empty(t, found[c.Address(above[frozen]).String()].Missing, "the nodes above it have told in time")

		time.Sleep(5 * time.Second)

		begun = time.Now()
		found = branches(rootTree(t, c).Below)
		require.Zero(t, time.Since(begun), "nobody waits any more")
		require.Contains(t, found[c.Address(frozen).String()].Missing, "not asked")
		c.Heal(frozen)
	})
}

// A node that has not been told to answers no question, and neither do nodes that do not know it.
func TestDescendants_AreOffByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := telling(t, 40, 1, 2, 3, 4, 5)
		newsOf(t, c, c.Players())

		below := rootTree(t, c).Below
		require.Len(t, below, 5)

		silent := 0

		for _, b := range below {
			if b.Missing != "" {
				require.Equal(t, minogrpc.Branch{Address: b.Address, Missing: "does not tell"}, b)

				silent++
			}
		}

		require.Positive(t, silent)
	})
}

// Promise S2: only the parent in a common stream learns something, and all others the same: nothing.
func TestInspection_AnswersTheParentAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := telling(t, 13)
		newsOf(t, c, c.Players())

		above := parentsOf(t, c)
		asked := slices.Index(above[1:], 0) + 1
		id := c.Node(0).(*minogrpc.Minogrpc).Snapshot().Streams[0].Stream

		conn, err := grpc.NewClient(fmt.Sprintf("passthrough:///n%d:1", asked),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(c.Network().Dialer("stranger:1")))
		require.NoError(t, err)

		ask := func(procedure, stream string, gateway mino.Address) error {
			text, err := gateway.MarshalText()
			require.NoError(t, err)

			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(session.URIKey, procedure,
				session.StreamIDKey, stream, session.GatewayKey, string(text)))
			_, err = ptypes.NewInspectionClient(conn).Inspect(ctx, &ptypes.InspectRequest{Bytes: 1 << 20})

			return err
		}

		require.NoError(t, ask("work", id, c.Address(0)))

		for i := 1; i < c.Len(); i++ {
			require.Equal(t, codes.PermissionDenied, status.Code(ask("work", id, c.Address(i))))
		}

		require.Equal(t, ask("work", id, c.Address(1)), ask("work", "another", c.Address(0)))
		require.Equal(t, codes.Unimplemented, status.Code(ask("other", id, c.Address(0))))
		require.NoError(t, conn.Close())
	})
}

// lying starts a root and a child that answers a question about their stream with that text.
func lying(t *testing.T, answer string) *sessiontest.Nodes {
	t.Helper()

	lie := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if info.FullMethod == ptypes.Inspection_Inspect_FullMethodName {
			return &ptypes.InspectResponse{Description: []byte(answer)}, nil
		}

		return next(ctx, req)
	}

	c := sessiontest.Cluster(t, 2, sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}),
		sessiontest.WithMinogrpc(minogrpc.WithInspection(),
			minogrpc.WithServerOptions(grpc.ChainUnaryInterceptor(lie))))
	newsOf(t, c, c.Players())

	return c
}

// Promise L5: a list of nothing would take a hundred times its bytes here, and on the page. Its length is looked at
// before it is read; a text may have what looks like a list.
func TestDescendants_ListsOfNothingAreRefused(t *testing.T) {
	many := func(open, one, end string) string {
		return open + strings.Repeat(one+",", (1<<19)/(len(one)+1)) + one + end
	}

	for name, test := range map[string]struct{ answer, missing string }{
		"children":  {many(`{"stream":{"children":[`, "{}", `]}}`), "cannot tell"},
		"parents":   {many(`{"stream":{"parents":[`, "null", `]}}`), "cannot tell"},
		"branches":  {many(`{"stream":{},"below":[`, "{}", `]}`), "cannot tell"},
		"lists":     {many(`{"stream":{},"below":[`, `{"below":[{}]}`, `]}`), "cannot tell"},
		"in a text": {`{"stream":{"procedure":"` + many(`[`, `[{},\"`, `]`) + `"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below := rootTree(t, lying(t, test.answer)).Below
				require.Len(t, below, 1)
				require.Equal(t, test.missing, below[0].Missing)
			})
		})
	}
}

// Promise L5: what a hostile node says of the nodes below it takes no more room than it was given, and is about
// itself and the nodes below it alone.
func TestDescendants_OfAHostileNodeAreBounded(t *testing.T) {
	deep := func(n int) string {
		const open, end = `{"address":"x","stream":{"address":"y","stream":"z"},"below":[`, `]}`

		return strings.Repeat(open, n) + strings.Repeat(end, n)
	}

	for name, test := range map[string]struct {
		answer, missing string
		depth           int
	}{
		"a lie":       {`{"address":"grpc://n9:1","stream":{"address":"grpc://n9:1","stream":"other"}}`, "", 1},
		"too large":   {`{"address":"` + strings.Repeat("a", 1<<20) + `"}`, "cannot tell", 0},
		"no JSON":     {"<script>", "cannot tell", 0},
		"other types": {`{"stream":{"children":{"a":1}}}`, "cannot tell", 0},
		"nothing":     {"", "cannot tell", 0},
		"deep":        {deep(3000), "", 65},
		"too deep":    {deep(12000), "cannot tell", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := lying(t, test.answer)
				below := rootTree(t, c).Below
				require.Len(t, below, 1)
				require.Equal(t, test.missing, below[0].Missing)
				require.Equal(t, c.Address(1).String(), below[0].Address)

				depth := 0
				for b := below; len(b) > 0 && b[0].Missing == ""; b = b[0].Below {
					depth++
				}

				require.Equal(t, test.depth, depth)

				if below[0].Stream != nil {
					snap := c.Node(0).(*minogrpc.Minogrpc).Snapshot()
					require.Equal(t, c.Address(1).String(), below[0].Stream.Address)
					require.Equal(t, snap.Streams[0].Stream, below[0].Stream.Stream)
				}
			})
		})
	}
}

// Promise S2: with TLS the parent is asked for its proof, and another member learns nothing of a stream, though it
// knows all about it.
func TestInspection_OfAnotherMemberIsRefused(t *testing.T) {
	nodes, rpc := startAll(t, 3, idle{}, minogrpc.WithInspection())

	out, _, err := rpc.Stream(t.Context(), playersOf(nodes[:2]...))
	require.NoError(t, err)
	requireDelivered(t, out.Send(text("hello"), addressesOf(nodes[:2]...)...))

	snap := nodes[0].Snapshot()
	snap.Streams = slices.DeleteFunc(snap.Streams, func(st host.Stream) bool { return st.Role != host.StreamRoot })
	require.Len(t, snap.Streams, 1)

	for i, missing := range map[int]string{0: "", 2: "cannot tell"} {
		below := nodes[i].Descendants(t.Context(), snap)[0].Below
		require.Len(t, below, 1)
		require.Equal(t, nodes[1].GetAddress().String(), below[0].Address)
		require.Equal(t, missing, below[0].Missing)
	}
}
