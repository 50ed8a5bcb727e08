package minogrpc_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// newcomers is how many nodes join at once. With 64, as in `make joining`, it takes half a minute.
var newcomers = flag.Int("newcomers", 16, "how many nodes join at once")

// Promise S2: nodes of one host that join at several others at once know each other when their
// Joins have returned, however many calls were refused before that.
func TestJoin_ManyAtOnceThenAllCallAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		nodes := make([]*minogrpc.Minogrpc, 0, 3+*newcomers)
		for i := range cap(nodes) {
			nodes = append(nodes, startIn(t, network, fmt.Sprintf("grpcs://n%d:1", i)))
		}

		seeds := nodes[:3]
		join(t, seeds[0], seeds[1:]...)

		var group errgroup.Group

		before := time.Now()

		for i, node := range nodes[3:] {
			seed := seeds[i%len(seeds)]
			to, token, digest := urlOf(t, seed), seed.GenerateToken(time.Minute), digestOf(t, seed)

			group.Go(func() error { return node.Join(to, token, digest) })
		}

		require.NoError(t, group.Wait())
		require.Less(t, time.Since(before), 2*time.Second)

		rpcs := make(map[*minogrpc.Minogrpc]mino.RPC)
		for _, node := range nodes {
			rpcs[node] = mino.MustCreateRPC(node, rpcName, echo, texts{})
		}

		for _, node := range nodes {
			requireCall(t, rpcs[node], nodes...)
		}
	})
}

// Promise S4: a member whose certificate comes late is a member from then on, over the connection
// over which it was refused.
func TestConfined_KnownLateIsNotCutOff(t *testing.T) {
	node, other := start(t), start(t)
	mino.MustCreateRPC(other, rpcName, echo, texts{})
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	require.NoError(t, node.GetCertificateStore().Store(other.GetAddress(), other.GetCertificateChain()))

	for range 40 {
		responses, err := rpc.Call(t.Context(), text("hello"), playersOf(other))
		require.NoError(t, err)
		_, err = (<-responses).GetMessageOrError()
		require.Error(t, err)
	}

	member := start(t)
	join(t, other, member)

	// A third node lets it in, and tells.
	join(t, member, node)
	requireCall(t, rpc, other)
}

// Promise S5: whoever names an https address, a node with TLS dials it only if its operator has.
func TestDial_HTTPSOnlyWhereTheOperatorSaysSo(t *testing.T) {
	var dialled atomic.Int64

	dialer := func(ctx context.Context, target string) (net.Conn, error) {
		if strings.HasPrefix(target, "third") {
			dialled.Add(1)

			return nil, fmt.Errorf("nobody at %s", target)
		}

		return new(net.Dialer).DialContext(ctx, "tcp", target)
	}
	counting := minogrpc.WithDialOptions(grpc.WithContextDialer(dialer))

	third := session.NewAddress("https://third:443")
	call := func(node *minogrpc.Minogrpc) error {
		responses, err := mino.MustCreateRPC(node, rpcName, echo, texts{}).Call(t.Context(), text("hello"),
			mino.NewAddresses(third))
		require.NoError(t, err)
		_, err = (<-responses).GetMessageOrError()

		return err
	}

	node := start(t, counting)
	require.ErrorContains(t, call(node), "the operator has not named this https address")
	require.Zero(t, dialled.Load())

	require.NoError(t, node.GetCertificateStore().Store(third, node.GetCertificateChain()))
	stored := mino.MustCreateRPC(node, "stored", echo, texts{})
	responses, err := stored.Call(t.Context(), text("hello"), mino.NewAddresses(third))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "nobody at third:443")

	require.ErrorContains(t, call(start(t, counting, minogrpc.WithHTTPSPeers("THIRD:0443"))), "nobody at third:443")
	require.ErrorContains(t, call(start(t, counting, minogrpc.NoTLS())), "nobody at third:443")
}

// Promise S5: what a member only tells of is not dialled for minutes. Once is what it takes to find
// out whether the node is there.
func TestDial_HearsayIsNotDialledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		var dialled atomic.Int64

		dialer := network.Dialer("a:1")
		a := startIn(t, network, "grpcs://a:1", minogrpc.WithDialOptions(grpc.WithContextDialer(
			func(ctx context.Context, target string) (net.Conn, error) {
				if strings.HasPrefix(target, "third") {
					dialled.Add(1)
				}

				return dialer(ctx, target)
			})))
		b, c := startIn(t, network, "grpcs://b:1"), startIn(t, network, "grpcs://c:1")
		join(t, a, b)

		for i := range 10 {
			host := fmt.Sprint("third", i)
			require.NoError(t, b.GetCertificateStore().Store(addressAt(host), chainOf(newCertificate(t, host))))
		}

		// b tells a of what it knows when a joins there.
		require.NoError(t, a.Join(urlOf(t, b), "", nil))
		require.Zero(t, dialled.Load())

		join(t, a, c)
		require.LessOrEqual(t, dialled.Load(), int64(10))

		time.Sleep(time.Hour) // Virtual time.
		require.LessOrEqual(t, dialled.Load(), int64(10))
	})
}

// Promise R3: an address from the network is short, printable and of no machine alone. What is
// wrong with it is told in few words.
func TestAddress_FromTheNetworkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		before := s.believed(t)
		chain := chainOf(newCertificate(t, "new"))
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("gateway", textAt(mallory)))

		for _, address := range []string{
			"FB" + strings.Repeat("x", 299), "FB" + strings.Repeat("x", 4<<20) + ":1", "FBne\xffw:1", "FBne\u202ew:1",
			"FB[fe80::1%eth0]:1",
		} {
			_, err := s.client(t, rootNode, s.certs[mallory]).Share(ctx,
				&ptypes.CertificateChain{Address: []byte(address), Value: chain})
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.Less(t, len(err.Error()), 1000)
		}

		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}

// Promise S2: another spelling of an address is no other node.
func TestAddress_SpellingIsNoOtherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		a := startAt(t, network, "a:1", "grpcs://A:01")
		require.Equal(t, "grpcs://a:1", a.GetAddress().String())

		for _, spelt := range []string{"A:1", "a:01", "a.:1"} {
			u := &url.URL{Scheme: "grpcs", Host: spelt}
			require.ErrorContains(t, a.Join(u, "", digestOf(t, a)), "cannot join itself", spelt)
		}

		// Nor does the key of another node find a place there, in whatever order they come.
		join(t, a, startIn(t, network, "grpcs://b:1"))

		for _, taken := range []string{"B:1", "b.:1", "b:01", "A.:1"} {
			host, _, _ := strings.Cut(taken, ":")
			err := joinAs(t, network, a, newCertificate(t, host), "FB"+taken)
			require.Equal(t, codes.AlreadyExists, status.Code(err), "%s: %v", taken, err)
		}

		require.NoError(t, joinAs(t, network, a, newCertificate(t, "New"), "FBNew:01"))

		for _, taken := range []string{"new:1", "NEW:1", "new.:1"} {
			host, _, _ := strings.Cut(taken, ":")
			err := joinAs(t, network, a, newCertificate(t, host), "FC"+taken)
			require.Equal(t, codes.AlreadyExists, status.Code(err), "%s: %v", taken, err)
		}
	})
}

// startAt is startIn for a node that is reached at another place than its public address says. It
// dials as the names of hosts are resolved: all spellings of one lead to the same place, of which
// the network knows the canonical text.
func startAt(t *testing.T, network *sessiontest.Network, at, public string, opts ...minogrpc.Option,
) *minogrpc.Minogrpc {
	t.Helper()

	u, err := url.Parse(public)
	require.NoError(t, err)

	listener, err := network.Listen(at)
	require.NoError(t, err)

	dialer := network.Dialer(at)
	opts = append(opts, minogrpc.WithListener(listener), minogrpc.WithDialOptions(grpc.WithContextDialer(
		func(ctx context.Context, target string) (net.Conn, error) { return dialer(ctx, spelling.Key(target)) })))
	node, err := minogrpc.NewMinogrpc(nil, u, tree.NewRouter(minogrpc.NewAddressFactory()), linked(opts)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Stop()) })

	return node
}

// joinAs joins at a node by a hand-made client.
func joinAs(t *testing.T, network *sessiontest.Network, at *minogrpc.Minogrpc, cert *tls.Certificate, address string,
) error {
	t.Helper()

	s := &siege{network: network}
	_, err := s.client(t, nameOf(at.GetAddress()), cert).Join(t.Context(), &ptypes.JoinRequest{
		Token: at.GenerateToken(time.Hour),
		Chain: &ptypes.CertificateChain{Address: []byte(address), Value: chainOf(cert)},
	})

	return err
}

func TestNewMinogrpc_RefusesAZone(t *testing.T) {
	_, err := minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpcs", Host: "[fe80::1%eth0]:1"},
		tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.WithListener(listen(t)))
	require.ErrorContains(t, err, "the zone in")
	require.ErrorContains(t, err, "means nothing to other nodes")
}

// Without TLS a node is reached, and answers, under every spelling of its address.
func TestStream_PlayersMayBeSpeltOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		var rpc mino.RPC

		for _, at := range []string{"d:1", "c:1", "b:1", "a:1"} {
			rpc = mino.MustCreateRPC(startAt(t, network, at, "grpc://"+at, minogrpc.NoTLS()), rpcName, echo, texts{})
		}

		for _, spelt := range [][]string{
			{"C.:01"}, {"a:1", "C.:01"}, {"b:1", "C.:01"}, {"C.:01", "b:1"}, {"C.:01", "B:1", "A.:1", "d.:01"},
		} {
			players := make([]mino.Address, len(spelt))
			for i, host := range spelt {
				players[i] = session.NewAddress("grpc://" + host)
			}

			out, in, err := rpc.Stream(withContext(t), mino.NewAddresses(players...))
			require.NoError(t, err)
			requireDelivered(t, out.Send(text("hello"), players...))

			for range players {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, msg, err := in.Recv(ctx)

				cancel()
				require.NoError(t, err, "%v", spelt)
				require.Equal(t, text("hello"), msg)
			}
		}
	})
}

// Promise S3: nobody makes a node verify what a huge key has signed.
func TestJoin_RefusesHugeRSAKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		_, signer, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)

		share := func(bits uint) error {
			modulus := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
			template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, template, template,
				&rsa.PublicKey{N: modulus, E: 65537}, signer)
			require.NoError(t, err)

			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("gateway", textAt(mallory)))
			_, err = s.client(t, rootNode, s.certs[mallory]).Share(ctx,
				&ptypes.CertificateChain{Address: fmt.Appendf(nil, "FBrsa%d:1", bits), Value: der})

			return err
		}

		require.NoError(t, share(8192))

		err = share(8193)
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "an RSA key of more than 8192 bits")
	})
}

// Promise S2: what a stranger is told does not depend on who is a member. The node that refuses it
// knows more.
func TestIdentity_StrangerDoesNotLearnWhoIsAMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		for _, a := range []attack{attackStream, attackForward, attackCall, attackShare} {
			client := s.client(t, rootNode, newCertificate(t, "anywhere"))
			told := func(name string) string {
				err := a.call(t.Context(), client, s.metadataOf(rootNode, "gateway", textAt(name)))

				return strings.ReplaceAll(fmt.Sprint(err), name, "NAME")
			}

			require.Equal(t, told("nobody"), told(mallory), a.method)
			require.Equal(t, told("nobody"), told(rootNode), a.method)
			require.Equal(t, "rpc error: code = PermissionDenied desc = the caller is not grpcs://NAME:1: "+
				"that is not known here, or has another key", told("nobody"))
		}

		s.note(func() {
			texts := fmt.Sprint(s.refusals[rootNode])
			require.Contains(t, texts, "no certificate is known")
			require.Contains(t, texts, "another key is stored for the address")
		})

		// Nor by a Join without a token.
		for _, name := range []string{"thief", mallory} {
			cert := newCertificate(t, name)
			require.EqualError(t, s.joinAs(t, cert, "", textAt(name), chainOf(cert)),
				"rpc error: code = PermissionDenied desc = the caller is not known here, and has no token")
		}
	})
}

// A handler can ask who its parent is, and whether that is proved.
func TestParentOf_IsWhoHasOpenedTheStream(t *testing.T) {
	for _, proved := range []bool{true, false} {
		t.Run(strconv.FormatBool(proved), func(t *testing.T) {
			type answer struct {
				me, parent mino.Address
				proved     bool
			}

			answers := make(chan answer, 2)

			var opts []minogrpc.Option
			if !proved {
				opts = append(opts, minogrpc.NoTLS())
			}

			nodes := []*minogrpc.Minogrpc{start(t, opts...), start(t, opts...), start(t, opts...)}

			var rpc mino.RPC

			for _, node := range nodes {
				for _, peer := range nodes {
					if proved {
						store := node.GetCertificateStore()
						require.NoError(t, store.Store(peer.GetAddress(), peer.GetCertificateChain()))
					}
				}

				rpc = mino.MustCreateRPC(node, rpcName, handler{stream: func(out mino.Sender, in mino.Receiver) error {
					parent, isProved := minogrpc.ParentOf(in)
					answers <- answer{node.GetAddress(), parent, isProved}

					return echo.stream(out, in)
				}}, texts{})
			}

			out, in, err := rpc.Stream(withContext(t), playersOf(nodes[:2]...))
			require.NoError(t, err)
			requireEchoes(t, out, in, nodes[:2]...)

			got := map[mino.Address]answer{}
			for range 2 {
				a := <-answers
				got[a.me] = a
			}

			require.Equal(t, map[mino.Address]answer{
				nodes[0].GetAddress(): {
					nodes[0].GetAddress(), session.NewOrchestratorAddress(nodes[2].GetAddress()), proved,
				},
				nodes[1].GetAddress(): {nodes[1].GetAddress(), nodes[0].GetAddress(), proved},
			}, got)
		})
	}

	parent, proved := minogrpc.ParentOf("something else")
	require.Nil(t, parent)
	require.False(t, proved)
}

// Promise S3: a handshake has no more addresses than a stream has players.
func TestLimits_HandshakeHasNoMoreThanThePlayers(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithMaxPlayers(2))
	client := dial(t, nodes[0])

	for players, code := range map[string]codes.Code{
		`"RkFhOjE=","RkFiOjE="`:            codes.OK,
		`"RkFhOjE=","RkFiOjE=","RkFjOjE="`: codes.InvalidArgument,
	} {
		md := header()
		md.Set("streamid", fmt.Sprint(code))
		md.Set("handshake", `{"Height":1,"Addresses":[`+players+`]}`)

		stream, err := client.Stream(metadata.NewOutgoingContext(t.Context(), md))
		require.NoError(t, err)

		if code == codes.OK {
			requireOpen(t, stream)

			continue
		}

		_, err = stream.Recv()
		require.Equal(t, code, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "more addresses than the limit of 2")
	}
}
