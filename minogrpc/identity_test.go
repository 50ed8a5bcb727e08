package minogrpc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/sessiontest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callError returns why a call of the one node to the other fails.
func callError(t *testing.T, rpc mino.RPC, peer *minogrpc.Minogrpc) error {
	t.Helper()

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
	require.NoError(t, err)

	_, err = (<-responses).GetMessageOrError()
	require.Error(t, err)

	return err
}

// Promise S2: a certificate counts while it is valid, at either end of a connection.
func TestIdentity_CertificateOutsideItsTimeIsNotBelieved(t *testing.T) {
	for reason, shift := range map[string]time.Duration{
		"has expired":         -24 * time.Hour,
		"is not valid before": 24 * time.Hour,
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				t.Cleanup(network.Close)

				from := time.Now().Add(shift - time.Hour)
				cert := selfSigned(t, "a", from, from.Add(2*time.Hour))
				store := minogrpc.WithStorage(certs.NewInMemoryStore())
				a := startIn(t, network, "grpcs://a:1", store, minogrpc.WithCert(&cert))
				b := startIn(t, network, "grpcs://b:1", store)
				ofA := mino.MustCreateRPC(a, rpcName, echo, texts{})
				ofB := mino.MustCreateRPC(b, rpcName, echo, texts{})

				require.ErrorContains(t, callError(t, ofB, a), reason)

				err := callError(t, ofA, b)
				require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
				require.ErrorContains(t, err, reason)

				err = a.Join(urlOf(t, b), b.GenerateToken(time.Minute), nil)
				require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
				require.ErrorContains(t, err, reason)

				// Nor is its digest of any use.
				c := startIn(t, network, "grpcs://c:1")
				require.ErrorContains(t, c.Join(urlOf(t, a), "", digestOf(t, a)), reason)
				requireKnows(t, c)
			})
		})
	}
}

// Promise S2: the certificate of a digest must name the host that is dialled.
func TestIdentity_DigestOfAnotherHostIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		cert := selfSigned(t, "other", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		a := startIn(t, network, "grpcs://a:1", minogrpc.WithCert(&cert))
		b := startIn(t, network, "grpcs://b:1")

		require.ErrorContains(t, b.Join(urlOf(t, a), a.GenerateToken(time.Minute), digestOf(t, a)), "not a")
		requireKnows(t, b)

		// Nobody could call it.
		err := a.Join(urlOf(t, b), b.GenerateToken(time.Minute), digestOf(t, b))
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
		requireKnows(t, b)
	})
}

// Promise S3: the network adds no more certificates than it may. The operator may.
func TestIdentity_PeersAreBounded(t *testing.T) {
	var mu sync.Mutex
	var learned []mino.Address

	a := start(t, minogrpc.WithMaxPeers(3), minogrpc.WithObserver(minogrpc.Observer{Learned: func(addr mino.Address) {
		mu.Lock()
		defer mu.Unlock()

		learned = append(learned, addr)
	}}))
	b, c, d := start(t), start(t), start(t)
	join(t, a, b, c)

	err := d.Join(urlOf(t, a), a.GenerateToken(time.Minute), digestOf(t, a))
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	requireKnows(t, a, b, c)

	require.NoError(t, a.GetCertificateStore().Delete(b.GetAddress()))
	join(t, a, d)
	requireKnows(t, a, c, d)

	mu.Lock()
	defer mu.Unlock()

	require.Equal(t, addressesOf(b, c, d), learned)
}

// sesame is a holder of one token that is always the same.
type sesame struct{}

func (sesame) Generate(time.Duration) string { return "sesame" }

func (sesame) Verify(token string) bool { return token == "sesame" }

func TestIdentity_TokensMayBeSomebodysOwn(t *testing.T) {
	a, b, c := start(t, minogrpc.WithTokens(sesame{})), start(t), start(t)
	require.Equal(t, "sesame", a.GenerateToken(0))
	join(t, a, b, c)
	require.Error(t, start(t).Join(urlOf(t, a), "wrong", digestOf(t, a)))
}

func TestIdentity_OpenNodeSaysSoOnce(t *testing.T) {
	const warning = "unauthenticated peers are allowed"

	logOf := func(opts ...minogrpc.Option) string {
		var log bytes.Buffer

		node := startExactly(t, append(opts, minogrpc.WithLogger(zerolog.New(&log)))...)
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		requireCall(t, rpc, node)
		require.NoError(t, node.Stop())

		return log.String()
	}

	require.Equal(t, 1, strings.Count(logOf(minogrpc.AllowUnauthenticatedPeers()), warning))
	require.NotContains(t, logOf(), warning)
	require.NotContains(t, logOf(minogrpc.AllowUnauthenticatedPeers(), minogrpc.NoTLS()), warning)
}

// Promise S2: a node that proves who it is does not talk to one that cannot, whoever names
// it for a player.
func TestIdentity_PlainAddressIsNotDialled(t *testing.T) {
	plain, secure := start(t, minogrpc.NoTLS()), start(t)
	mino.MustCreateRPC(plain, rpcName, echo, texts{})
	rpc := mino.MustCreateRPC(secure, rpcName, echo, texts{})

	require.ErrorContains(t, callError(t, rpc, plain), "a plain address proves nothing")

	_, _, err := rpc.Stream(t.Context(), playersOf(plain))
	require.ErrorContains(t, err, "a plain address proves nothing")

	open := start(t, minogrpc.AllowUnauthenticatedPeers())
	requireCall(t, mino.MustCreateRPC(open, rpcName, echo, texts{}), plain)
}

// What is wrong with the certificate of a node its log says at once.
func TestIdentity_NodeWarnsOfItsOwnCertificate(t *testing.T) {
	now := time.Now()
	store := certs.NewInMemoryStore()
	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	logOf := func(host string, until time.Duration) string {
		var log bytes.Buffer

		cert := selfSigned(t, host, now.Add(-time.Hour), now.Add(until))
		node := newIn(t, network, "grpcs://a:1", minogrpc.WithStorage(store), minogrpc.WithCert(&cert),
			minogrpc.WithLogger(zerolog.New(&log)))
		require.NoError(t, node.Stop())

		return log.String()
	}

	require.Empty(t, logOf("a", time.Hour))
	require.Contains(t, logOf("a", time.Hour), "another key")
	require.Contains(t, logOf("b", time.Hour), "valid for b, not a")
	require.Contains(t, logOf("a", -time.Minute), "has expired")
}

// What is damaged on the disk of a node that has its key it can make again.
func TestIdentity_OwnDamagedCertificateIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		folder := t.TempDir()
		key := minogrpc.WithCertificateKey(selfSigned(t, "a", time.Now(), time.Now()).PrivateKey, nil)
		begin := func() certs.CertChain {
			store, err := certs.NewDiskStore(folder, minogrpc.NewAddressFactory())
			require.NoError(t, err)

			node := newIn(t, network, "grpcs://a:1", key, minogrpc.WithStorage(store))
			require.NoError(t, node.Stop())

			chain, err := store.Load(node.GetAddress())
			require.NoError(t, err)
			require.Equal(t, node.GetCertificateChain(), chain)

			return chain
		}

		first := begin()
		require.Equal(t, first, begin())

		files, err := filepath.Glob(filepath.Join(folder, "*.pem"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.NoError(t, os.WriteFile(files[0], []byte("damaged"), 0o600))

		same, err := certs.SameKey(first, begin())
		require.NoError(t, err)
		require.True(t, same)
	})
}
