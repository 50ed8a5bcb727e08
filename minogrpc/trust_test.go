package minogrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// authority signs the certificates of the nodes of an operator.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(24 * lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)

	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)

	return &authority{cert: cert, key: key}
}

// pool returns the authority as a policy takes it.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)

	return pool
}

// sign returns a certificate for an address, with a new key.
func (a *authority) sign(t *testing.T, address string) *tls.Certificate {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	name, err := url.Parse(address)
	require.NoError(t, err)

	template := &x509.Certificate{
		NotBefore: time.Now(), NotAfter: time.Now().Add(lifetime),
		URIs: []*url.URL{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// certified starts a node that believes the authority and presents the certificate.
func certified(t *testing.T, network *sessiontest.Network, name string, a *authority) (*minogrpc.Minogrpc, mino.RPC) {
	t.Helper()

	public := "grpcs://" + name + ":1"
	node := startIn(t, network, public, minogrpc.WithCert(a.sign(t, public)),
		minogrpc.WithTrust(minogrpc.Authorities(a.pool())))

	return node, mino.MustCreateRPC(node, rpcName, echo, texts{})
}

// Promise S2: among nodes with an authority a certificate of it proves the address that it names
// and no other. No token and no digest is needed, and the key may change.
func TestTrust_AuthorityProvesTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a := newAuthority(t)
		first, _ := certified(t, network, "n1", a)
		second, rpc := certified(t, network, "n2", a)

		require.NoError(t, second.Join(urlOf(t, first), "", nil))
		requireKnows(t, first, first, second)
		requireKnows(t, second, first, second)

		out, in, err := rpc.Stream(withContext(t), playersOf(first, second))
		require.NoError(t, err)
		requireEchoes(t, out, in, first, second)

		// The same address with another key.
		require.NoError(t, second.Stop())
		time.Sleep(time.Minute) // Virtual time: of two certificates the newer one counts.

		again, rpc := certified(t, network, "n2", a)
		require.NoError(t, again.Join(urlOf(t, first), "", nil))
		out, in, err = rpc.Stream(withContext(t), playersOf(first, again))
		require.NoError(t, err)
		requireEchoes(t, out, in, first, again)
		requireKnows(t, first, first, again)
	})
}

// Promise S2: an authority that is somebody else's, a certificate for another address, one that
// its own key has signed, one that has expired, and one without an address prove nothing: in no
// way in, nor to a node that calls.
func TestTrust_OtherCertificatesProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a := newAuthority(t)
		node, _ := certified(t, network, "n1", a)
		s := &siege{network: network}

		expired := a.sign(t, "grpcs://evil:1")
		time.Sleep(2 * time.Hour) // Virtual time.

		for name, cert := range map[string]*tls.Certificate{
			"other authority": newAuthority(t).sign(t, "grpcs://evil:1"),
			"other address":   a.sign(t, "grpcs://n1:1"),
			"other port":      a.sign(t, "grpcs://evil:2"),
			"other kind":      a.sign(t, "https://evil:1"),
			"own signature":   newCertificate(t, "evil"),
			"no address":      a.sign(t, "evil"),
			"expired":         expired,
		} {
			client := s.client(t, "n1", cert)
			md := streamID(1, "gateway", "FBevil:1")

			for _, attack := range []attack{attackCall, attackStream, attackForward, attackShare} {
				err := attack.call(t.Context(), client, md)
				require.Equal(t, codes.PermissionDenied, status.Code(err), "%s %s: %v", name, attack.method, err)
			}

			_, err := client.Join(t.Context(), &ptypes.JoinRequest{
				Token: node.GenerateToken(time.Hour),
				Chain: &ptypes.CertificateChain{Address: []byte("FBevil:1"), Value: chainOf(cert)},
			})
			require.Contains(t, []codes.Code{codes.PermissionDenied, codes.InvalidArgument}, status.Code(err), name)
			requireKnows(t, node, node)
		}
	})
}

// A node whose certificate the others would not believe does not start, and says why.
func TestTrust_NodeNeedsACertificateOfTheAuthority(t *testing.T) {
	a := newAuthority(t)
	public := &url.URL{Scheme: "grpcs", Host: "127.0.0.1:1"}

	for reason, opts := range map[string][]minogrpc.Option{
		"see WithCert":                         {},
		"does not prove grpcs://127.0.0.1:1: ": {minogrpc.WithCert(a.sign(t, "grpcs://127.0.0.1:2"))},
		"no authority is trusted": {
			minogrpc.WithCert(a.sign(t, "grpcs://127.0.0.1:1")), minogrpc.WithTrust(minogrpc.Authorities(nil)),
		},
	} {
		opts = append([]minogrpc.Option{minogrpc.WithTrust(minogrpc.Authorities(a.pool()))}, opts...)
		_, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
			public, tree.NewRouter(minogrpc.NewAddressFactory()), opts...)
		require.ErrorContains(t, err, reason)
	}
}

// revocable is a list of addresses whose certificates are revoked.
type revocable struct {
	mu   sync.Mutex
	list map[string]bool
}

func (r *revocable) revoke(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.list = map[string]bool{name: true}
}

// policy returns the policy of the nodes, whose certificates name their hosts.
func (r *revocable) policy() minogrpc.Option {
	return minogrpc.WithTrust(minogrpc.PinnedKeys().WithRevocation(func(leaf *x509.Certificate) error {
		r.mu.Lock()
		defer r.mu.Unlock()

		if r.list[leaf.DNSNames[0]] {
			return errors.New("secret reason")
		}

		return nil
	}))
}

// Promise S2: a certificate that is revoked opens no way in from then on, not even for who has a
// token, and is told no reason.
func TestTrust_RevokedCertificateHasNoWayIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := new(revocable)
		s := newSiege(t, nil, revoked.policy())
		client := s.client(t, rootNode, s.certs[mallory])
		md := s.metadataOf(rootNode, "gateway", textAt(mallory))
		require.NoError(t, attackCall.call(t.Context(), client, md))

		revoked.revoke(mallory)

		for _, a := range []attack{attackCall, attackStream, attackForward, attackShare} {
			err := a.call(t.Context(), client, md)
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", a.method, err)
			require.NotContains(t, err.Error(), "secret")
			s.requireTold(t, rootNode, a.method, codes.PermissionDenied)
		}

		token := s.nodes[rootNode].GenerateToken(time.Hour)
		err := s.joinAs(t, s.certs[mallory], token, textAt(mallory), chainOf(s.certs[mallory]))
		require.NotContains(t, err.Error(), "secret")
		s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
		s.requireUndisturbed(t)
	})
}

// ways are the two by which an operator takes a node away, at another one.
func ways(revoked *revocable) map[string]func(s *siege, at, name string) {
	return map[string]func(s *siege, at, name string){
		"deleted": func(s *siege, at, name string) {
			_ = s.nodes[at].GetCertificateStore().Delete(addressAt(name))
		},
		"replaced": func(s *siege, at, name string) {
			_ = s.nodes[at].GetCertificateStore().Store(addressAt(name), chainOf(s.certs["b"]))
		},
		"revoked": func(_ *siege, _, name string) { revoked.revoke(name) },
	}
}

// Promise S2: a node that the operator takes away loses its connections and its streams there:
// as a child it is lost at once, and as a parent or an orchestrator it feeds nobody any more.
func TestTrust_NodeThatIsTakenAwayLosesItsStreams(t *testing.T) {
	for way := range ways(nil) {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				revoked := new(revocable)
				s := newSiege(t, nil, revoked.policy())
				take := ways(revoked)[way]

				take(s, rootNode, "a")
				time.Sleep(10 * time.Second) // Virtual time: the period of the review, and the break.

				for err := range s.out.Send(text("more"), addressAt("a")) {
					require.Error(t, err)
				}

				requireDelivered(t, s.out.Send(text("more"), addressAt("b"), addressAt(leafNode)))

				take(s, rootNode, orchestrator)
				time.Sleep(time.Minute) // Virtual time.
				synctest.Wait()
				require.Error(t, <-s.out.Send(text("more"), addressAt("b")))
				s.note(func() { require.Contains(t, s.life, rootNode+" ends") })
			})
		})
	}
}

// requireBroken checks that a stream ends with its connection, within the period of the review.
func requireBroken(t *testing.T, stream ptypes.Overlay_StreamClient) {
	t.Helper()

	ended := make(chan error, 1)

	go func() {
		_, err := stream.Recv()
		ended <- err
	}()

	select {
	case err := <-ended:
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	case <-time.After(6 * time.Second):
		require.Fail(t, "the connection is still there")
	}
}

// Promise S2: what is taken away is taken away from who only listens, too: a connection that
// sends nothing more is closed as well.
func TestTrust_SilentConnectionOfANodeThatIsTakenAwayIsClosed(t *testing.T) {
	for way := range ways(nil) {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				revoked := new(revocable)
				s := newSiege(t, nil, revoked.policy())
				mino.MustCreateRPC(s.nodes["a"], "other", handler{stream: func(_ mino.Sender, in mino.Receiver) error {
					_, _, err := in.Recv(context.Background())

					return err
				}}, texts{})

				md := streamID(1, "apiuri", "other", "gateway", textAt(mallory))
				stream := openStream(t, s.client(t, "a", s.certs[mallory]), md)
				requireOpen(t, stream)

				ways(revoked)[way](s, "a", mallory)
				requireBroken(t, stream)
			})
		})
	}
}

// plainStore is a storage that tells nobody of a change.
type plainStore struct {
	certs.Storage
}

// Promise S2: the connections end also where the storage tells nobody, within some seconds.
func TestTrust_StorageThatIsSilentIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		store := plainStore{certs.NewInMemoryStore()}
		node := startIn(t, network, "grpcs://n1:1", minogrpc.WithStorage(store))
		mino.MustCreateRPC(node, rpcName, echo, texts{})

		cert := newCertificate(t, "evil")
		evil := addressAt("evil")
		require.NoError(t, store.Store(evil, chainOf(cert)))

		s := &siege{network: network}
		stream := openStream(t, s.client(t, "n1", cert), streamID(1, "gateway", textAt("evil")))
		requireOpen(t, stream)

		time.Sleep(time.Minute) // Virtual time: nothing happens to who is known.
		require.NoError(t, attackCall.call(t.Context(), s.client(t, "n1", cert),
			metadata.Pairs("apiuri", rpcName, "gateway", textAt("evil"))))

		require.NoError(t, store.Delete(evil))

		requireBroken(t, stream)
	})
}

// A check that panics believes nobody.
func TestTrust_RevocationThatPanicsRefuses(t *testing.T) {
	var broken atomic.Bool

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, minogrpc.WithTrust(minogrpc.PinnedKeys().WithRevocation(
			func(leaf *x509.Certificate) error {
				if broken.Load() && leaf.DNSNames[0] == mallory {
					panic("secret")
				}

				return nil
			})))
		client := s.client(t, "a", s.certs[mallory])
		broken.Store(true)

		err := attackCall.call(t.Context(), client, s.metadataOf("a", "gateway", textAt(mallory)))
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		require.NotContains(t, err.Error(), "secret")
		s.requireTold(t, "a", attackCall.method, codes.PermissionDenied)
		s.requireUndisturbed(t)
	})
}
