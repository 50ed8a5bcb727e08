package minogrpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/minogrpc/tokens"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// urlOf returns where others join through the node.
func urlOf(t *testing.T, node *minogrpc.Minogrpc) *url.URL {
	t.Helper()

	u, err := url.Parse(node.GetAddress().String())
	require.NoError(t, err)

	return u
}

// digestOf returns the digest by which a node is recognised.
func digestOf(t *testing.T, node *minogrpc.Minogrpc) []byte {
	t.Helper()

	digest, err := node.GetCertificateStore().Hash(node.GetCertificateChain())
	require.NoError(t, err)

	return digest
}

// join makes the nodes join through the first one.
func join(t *testing.T, first *minogrpc.Minogrpc, others ...*minogrpc.Minogrpc) {
	t.Helper()

	for _, node := range others {
		require.NoError(t, node.Join(urlOf(t, first), first.GenerateToken(time.Minute), digestOf(t, first)))
	}
}

// requireKnows checks what the store of a node holds.
func requireKnows(t *testing.T, node *minogrpc.Minogrpc, others ...*minogrpc.Minogrpc) {
	t.Helper()

	known := map[mino.Address]certs.CertChain{}
	want := map[mino.Address]certs.CertChain{node.GetAddress(): node.GetCertificateChain()}

	require.NoError(t, node.GetCertificateStore().Range(func(addr mino.Address, chain certs.CertChain) bool {
		known[addr] = chain

		return true
	}))

	for _, other := range others {
		want[other.GetAddress()] = other.GetCertificateChain()
	}

	require.Equal(t, want, known)
}

func TestJoin_NodesKnowEachOtherAndMayTalk(t *testing.T) {
	a, b, c := start(t), start(t), start(t)
	join(t, a, b)
	join(t, b, c)

	requireKnows(t, a, b, c)
	requireKnows(t, b, a, c)
	requireKnows(t, c, a, b)

	var rpc mino.RPC
	for _, node := range []*minogrpc.Minogrpc{a, b, c} {
		rpc = mino.MustCreateRPC(node, rpcName, echo, texts{})
	}

	requireCall(t, rpc, a, b, c)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	out, in, err := rpc.Stream(ctx, playersOf(a, b, c))
	require.NoError(t, err)
	requireEchoes(t, out, in, a, b, c)
}

// Promise S2: what Join sends goes only to the node that the operator has named.
func TestJoin_NeedsTheDigestOfTheNode(t *testing.T) {
	a, b, other := start(t), start(t), start(t)
	token := a.GenerateToken(time.Minute)

	err := b.Join(urlOf(t, a), token, digestOf(t, other))
	require.ErrorContains(t, err, "wrong digest")
	require.ErrorContains(t, err, hex.EncodeToString(digestOf(t, other)))
	require.ErrorContains(t, err, hex.EncodeToString(digestOf(t, a)))
	requireKnows(t, b)

	err = b.Join(urlOf(t, a), token, []byte(hex.EncodeToString(digestOf(t, a))))
	require.ErrorContains(t, err, "is it still text?")
	requireKnows(t, b)

	err = b.Join(urlOf(t, a), token, nil)
	require.ErrorContains(t, err, "no certificate is known for "+a.GetAddress().String())

	require.NoError(t, b.Join(urlOf(t, a), token, digestOf(t, a)))
}

// oneUse makes the tokens of a node good for one join each.
func oneUse() minogrpc.Option {
	return minogrpc.WithTokens(tokens.NewInMemoryHolder(tokens.WithUses(1)))
}

// The procedure of existing networks: one token serves several joins.
func TestJoin_OneTokenLetsThreeIn(t *testing.T) {
	first := start(t)
	token := first.GenerateToken(time.Minute)
	others := []*minogrpc.Minogrpc{start(t), start(t), start(t)}

	for _, node := range others {
		require.NoError(t, node.Join(urlOf(t, first), token, digestOf(t, first)))
	}

	requireKnows(t, first, others...)
}

// Promise S2: a token lets in as many as it has uses, and nobody after its time.
func TestJoin_NeedsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1", oneUse()), startIn(t, network, "grpcs://b:1")
		late, twice := startIn(t, network, "grpcs://c:1"), startIn(t, network, "grpcs://d:1")
		token, old := a.GenerateToken(time.Hour), a.GenerateToken(time.Minute)
		time.Sleep(time.Minute)

		for _, wrong := range []string{"", "x", token + "x", token[1:], old} {
			err := late.Join(urlOf(t, a), wrong, digestOf(t, a))
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		}

		require.ErrorContains(t, late.Join(urlOf(t, a), "", digestOf(t, a)), "not known here")

		require.NoError(t, b.Join(urlOf(t, a), token, digestOf(t, a)))
		require.Equal(t, codes.PermissionDenied, status.Code(twice.Join(urlOf(t, a), token, digestOf(t, a))))
		requireKnows(t, a, b)
	})
}

func TestJoin_MemberNeedsNoTokenToLearnWhatItHasMissed(t *testing.T) {
	a, b, c := start(t), start(t), start(t)
	join(t, a, b)
	join(t, a, c)
	require.NoError(t, b.GetCertificateStore().Delete(c.GetAddress()))

	require.NoError(t, b.Join(urlOf(t, a), "", nil))
	requireKnows(t, b, a, c)
}

// Promise S2: nobody takes the place of another node by joining.
func TestJoin_NeverReplacesTheKeyOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1"), startIn(t, network, "grpcs://b:1")
		join(t, a, b)
		require.NoError(t, b.Stop())

		thief := startIn(t, network, "grpcs://b:1")
		err := thief.Join(urlOf(t, a), a.GenerateToken(time.Minute), digestOf(t, a))
		require.Equal(t, codes.AlreadyExists, status.Code(err), "%v", err)
		requireKnows(t, a, b)

		// It is the operator who decides that the node has another key now.
		require.NoError(t, a.GetCertificateStore().Delete(b.GetAddress()))
		join(t, a, thief)
		requireKnows(t, a, thief)
	})
}

// Promise S2: nor does the one who joins believe another key where it knows one.
func TestJoin_NeverReplacesWhatTheJoiningNodeKnows(t *testing.T) {
	a, b, c := start(t), start(t), start(t)
	join(t, a, b)

	other := start(t).GetCertificateChain()
	store := c.GetCertificateStore()
	require.NoError(t, store.Store(b.GetAddress(), other))
	join(t, a, c)

	chain, err := store.Load(b.GetAddress())
	require.NoError(t, err)
	require.Equal(t, other, chain)

	d := start(t)
	require.NoError(t, d.GetCertificateStore().Store(a.GetAddress(), other))
	err = d.Join(urlOf(t, a), a.GenerateToken(time.Minute), digestOf(t, a))
	require.ErrorContains(t, err, "another key is stored for the address")
}

func TestJoin_NodeWithTheSameKeyIsTheSameNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		_, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)

		a := startIn(t, network, "grpcs://a:1")
		c := startIn(t, network, "grpcs://c:1")
		b := startIn(t, network, "grpcs://b:1", minogrpc.WithCertificateKey(key, nil))
		join(t, a, c, b)
		require.NoError(t, b.Stop())
		time.Sleep(24 * time.Hour)

		// Without its store it makes another certificate, which the others believe at once.
		again := startIn(t, network, "grpcs://b:1", minogrpc.WithCertificateKey(key, nil))
		require.NotEqual(t, b.GetCertificateChain(), again.GetCertificateChain())
		require.NoError(t, again.GetCertificateStore().Store(a.GetAddress(), a.GetCertificateChain()))

		rpc := mino.MustCreateRPC(a, rpcName, echo, texts{})
		mino.MustCreateRPC(again, rpcName, echo, texts{})
		requireCall(t, rpc, again)

		// And which takes the place of the older one when the node says so.
		require.NoError(t, again.Join(urlOf(t, a), "", digestOf(t, a)))
		requireKnows(t, a, again, c)
		requireKnows(t, c, again, a)
	})
}

// A node renews its certificate in time, also while it runs, and is believed all along.
func TestJoin_NodeRenewsItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1"), startIn(t, network, "grpcs://b:1")
		join(t, a, b)

		ofA := mino.MustCreateRPC(a, rpcName, echo, texts{})
		ofB := mino.MustCreateRPC(b, rpcName, echo, texts{})
		first := a.GetCertificateChain()

		for range 20 {
			time.Sleep(60 * 24 * time.Hour)
			requireCall(t, ofA, b)
			requireCall(t, ofB, a)
		}

		require.NotEqual(t, first, a.GetCertificateChain())

		same, err := certs.SameKey(first, a.GetCertificateChain())
		require.NoError(t, err)
		require.True(t, same)

		// Who joins now learns the new one.
		c := startIn(t, network, "grpcs://c:1")
		join(t, b, c)
		join(t, a, b)
		join(t, b, c)
		requireKnows(t, c, a, b)
	})
}

func TestJoin_CertificateSurvivesWithItsKeyAndStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		_, key, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)

		opts := []minogrpc.Option{
			minogrpc.WithCertificateKey(key, nil), minogrpc.WithStorage(certs.NewInMemoryStore()),
		}
		start := func() certs.CertChain {
			node := newIn(t, network, "grpcs://a:1", opts...)
			require.NoError(t, node.Stop())

			return node.GetCertificateChain()
		}

		first := start()
		time.Sleep(180 * 24 * time.Hour)
		require.Equal(t, first, start())

		// It would expire in less than half a year.
		time.Sleep(6 * 24 * time.Hour)
		require.NotEqual(t, first, start())
	})
}

// Two nodes that join through two others at the same moment know each other.
func TestJoin_AtTheSameTimeEverybodyLearnsOfEverybody(t *testing.T) {
	nodes := []*minogrpc.Minogrpc{start(t), start(t), start(t), start(t), start(t), start(t)}
	join(t, nodes[0], nodes[1])

	var group errgroup.Group

	for i, node := range nodes[2:] {
		through := nodes[i%2]
		to, token, digest := urlOf(t, through), through.GenerateToken(time.Minute), digestOf(t, through)

		group.Go(func() error { return node.Join(to, token, digest) })
	}

	require.NoError(t, group.Wait())

	for _, node := range nodes {
		for _, other := range nodes {
			chain, err := node.GetCertificateStore().Load(other.GetAddress())
			require.NoError(t, err)
			require.Equal(t, other.GetCertificateChain(), chain)
		}
	}
}

func TestJoin_NodeThatWasAwayIsToldLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1"), startIn(t, network, "grpcs://b:1")
		c := startIn(t, network, "grpcs://c:1")
		join(t, a, b)

		network.Cut("a:1", "b:1")
		join(t, a, c)
		requireKnows(t, b, a)

		time.Sleep(time.Minute)
		network.Heal("a:1", "b:1")
		time.Sleep(5 * time.Minute)
		requireKnows(t, b, a, c)
	})
}

func TestJoin_SaysWhatIsWrong(t *testing.T) {
	node, plain := start(t), start(t, minogrpc.NoTLS())

	cases := map[string]struct {
		node   *minogrpc.Minogrpc
		to     *url.URL
		digest []byte
		reason string
	}{
		"no address":        {node, nil, nil, "no address"},
		"no port":           {node, &url.URL{Host: "localhost"}, nil, "port"},
		"itself":            {node, urlOf(t, node), digestOf(t, node), "cannot join itself"},
		"plain node":        {node, urlOf(t, plain), nil, "without TLS"},
		"without TLS":       {plain, urlOf(t, node), digestOf(t, node), "without TLS"},
		"digest for https":  {node, &url.URL{Scheme: "https", Host: "a:1"}, []byte{1}, "takes no digest"},
		"nobody is there":   {node, closedURL(t), make([]byte, 32), "refused"},
		"public roots know": {node, httpsOf(t, start(t)), nil, "certificate"},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.node.Join(tc.to, "token", tc.digest)
			require.ErrorContains(t, err, "join through")
			require.ErrorContains(t, err, tc.reason)
		})
	}
}

// closedURL returns where nobody listens.
func closedURL(t *testing.T) *url.URL {
	t.Helper()

	listener := listen(t)
	require.NoError(t, listener.Close())

	return &url.URL{Scheme: "grpcs", Host: listener.Addr().String()}
}

// httpsOf returns the address of a node that the roots of the system do not know.
func httpsOf(t *testing.T, node *minogrpc.Minogrpc) *url.URL {
	t.Helper()

	return &url.URL{Scheme: "https", Host: node.GetAddress().(session.Address).GetDialAddress()}
}

func TestJoin_FailsWhenTheNodeIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1"), startIn(t, network, "grpcs://b:1")
		network.Freeze("a:1", "b:1")

		failed := make(chan error, 1)
		to, digest := urlOf(t, a), digestOf(t, a)

		go func() { failed <- b.Join(to, "token", digest) }()

		synctest.Wait()
		require.NoError(t, b.Stop())
		require.ErrorContains(t, <-failed, "the node has been stopped")
	})
}

// Promise S2: a node without TLS has no certificate that anybody could tell of. By one for
// its plain address, which Recv takes for the same, a member could pass for a secure node.
func TestJoin_LearnsNoCertificateForAPlainAddress(t *testing.T) {
	a, member, node := start(t), start(t), start(t)
	join(t, a, member, node)

	plain := session.NewAddress("grpc://" + urlOf(t, a).Host)
	require.NoError(t, member.GetCertificateStore().Store(plain, member.GetCertificateChain()))
	require.NoError(t, node.Join(urlOf(t, member), "", nil))
	requireKnows(t, node, a, member)
}

// Promise S3: what is told of nodes is the certificate by which they are known, and not
// all that they present.
func TestJoin_LearnsTheCertificateOfTheNodeAlone(t *testing.T) {
	made := start(t)

	_, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	leaf := leafOf(t, start(t, minogrpc.WithCertificateKey(secret, nil)))
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw, made.GetCertificateChain()}, PrivateKey: secret}

	a, b, long := start(t), start(t), start(t, minogrpc.WithCert(cert))
	join(t, a, b, long)
	join(t, long, start(t))

	for _, node := range []*minogrpc.Minogrpc{a, b} {
		chain, err := node.GetCertificateStore().Load(long.GetAddress())
		require.NoError(t, err)
		require.EqualValues(t, leaf.Raw, chain)
	}
}

// A node that stops does not wait for those that it was telling of a newcomer.
func TestJoin_DoesNotHoldUpTheEndOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a, b := startIn(t, network, "grpcs://a:1"), startIn(t, network, "grpcs://b:1")
		c := startIn(t, network, "grpcs://c:1")
		join(t, a, b)
		network.Freeze("a:1", "b:1")

		done := make(chan error, 1)
		to, token, digest := urlOf(t, a), a.GenerateToken(time.Minute), digestOf(t, a)

		go func() { done <- c.Join(to, token, digest) }()

		time.Sleep(time.Second)

		before := time.Now()
		require.NoError(t, a.Stop())
		require.Less(t, time.Since(before), time.Second)
		<-done //nolint:errcheck // the node may have been let in before
	})
}
