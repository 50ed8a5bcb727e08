package minogrpc_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// rotated is a certificate that an operator renews, with the same key, each half of its life.
type rotated struct {
	t *testing.T

	mu      sync.Mutex
	current *tls.Certificate
	made    time.Time
	// broken is what get fails with, and other makes it return another key.
	broken error
	other  bool
}

func (r *rotated) get() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	switch {
	case r.broken != nil:
		return nil, r.broken
	case r.other:
		return newCertificate(r.t, "n1"), nil
	case time.Since(r.made) < lifetime/2:
		return r.current, nil
	}

	key := r.current.PrivateKey.(*ecdsa.PrivateKey)
	template := &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now().Add(lifetime), DNSNames: []string{"n1"}}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}

	r.current, r.made = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, time.Now()

	return r.current, nil
}

// startRotated returns a node with short-lived certificates, and another one that it knows.
func startRotated(t *testing.T, opts ...minogrpc.Option) (*rotated, []*minogrpc.Minogrpc, mino.RPC) {
	t.Helper()

	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	r := &rotated{t: t, current: newCertificate(t, "n1"), made: time.Now()}
	nodes := []*minogrpc.Minogrpc{
		startIn(t, network, "grpcs://n1:1", append(opts, minogrpc.WithCertSource(r.get))...),
		startIn(t, network, "grpcs://n2:1", opts...),
	}
	join(t, nodes[0], nodes[1])
	mino.MustCreateRPC(nodes[1], rpcName, echo, texts{})

	return r, nodes, mino.MustCreateRPC(nodes[0], rpcName, echo, texts{})
}

// Promise S2: a node renews certificates that live for an hour while it runs. A stream goes on
// over the connection that it has, in both kinds of links, and the calls are never refused as
// those of an expired certificate, also when the connection is never idle.
func TestRenewal_CallsUseTheNewCertificateAndStreamsGoOn(t *testing.T) {
	for name, opts := range map[string][]minogrpc.Option{"duplex": nil, "unicast": {minogrpc.WithoutDuplex()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, nodes, rpc := startRotated(t, opts...)
				first := nodes[0].GetCertificateChain()

				out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
				require.NoError(t, err)

				for range 5 * 60 {
					time.Sleep(time.Minute)
					requireCall(t, rpc, nodes[1])
					requireEchoes(t, out, in, nodes...)
				}

				// A renewal may be under way.
				synctest.Wait()
				require.NotEqual(t, first, nodes[0].GetCertificateChain())

				kept, err := nodes[0].GetCertificateStore().Load(nodes[0].GetAddress())
				require.NoError(t, err)
				require.Equal(t, nodes[0].GetCertificateChain(), kept)
			})
		})
	}
}

// A source that fails, or has the certificate of another node, changes nothing.
func TestRenewal_SourceThatIsWrongChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, nodes, rpc := startRotated(t)
		first := nodes[0].GetCertificateChain()

		for _, spoil := range []func(){
			func() { r.broken = errors.New("no certificate today") },
			func() { r.broken, r.other = nil, true },
		} {
			r.mu.Lock()
			spoil()
			r.mu.Unlock()
			time.Sleep(time.Minute) // Virtual time.
			requireCall(t, rpc, nodes[1])
			require.Equal(t, first, nodes[0].GetCertificateChain())
		}
	})
}

// A node does not start without a certificate.
func TestRenewal_SourceMustHaveACertificateAtTheStart(t *testing.T) {
	for reason, source := range map[string]func() (*tls.Certificate, error){
		"no certificate today": func() (*tls.Certificate, error) { return nil, errors.New("no certificate today") },
		"has no certificate":   func() (*tls.Certificate, error) { return nil, nil },
		"panic":                func() (*tls.Certificate, error) { panic("no") },
	} {
		_, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
			nil, tree.NewRouter(minogrpc.NewAddressFactory()),
			minogrpc.WithCertSource(source), minogrpc.WithStorage(certs.NewInMemoryStore()))
		require.ErrorContains(t, err, reason)
	}
}
