package session_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func TestConnManager_AllWhoAcquireAtOnceShareOneDial(t *testing.T) {
	const count = 100

	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		mgr, dials := n.conns()

		var wg sync.WaitGroup

		for range count {
			wg.Go(func() {
				conn, err := mgr.Acquire(addr("n1"))
				if err != nil || call(conn) != nil {
					t.Error("no connection")
				}
			})
		}

		wg.Wait()
		require.EqualValues(t, 1, dials.Load())
		require.Equal(t, 1, mgr.Len())

		for range count - 1 {
			mgr.Release(addr("n1"))
		}

		require.Equal(t, 1, mgr.Len())
		mgr.Release(addr("n1"))
		require.Equal(t, 0, mgr.Len())
	})
}

func TestConnManager_RolesOfOneHostShareOneConnection(t *testing.T) {
	mgr := newConns(t)
	follower := addr("n1")
	orchestrator := session.NewOrchestratorAddress(follower)

	forms := []mino.Address{follower, orchestrator, session.WrapAddress(orchestrator), embeddingAddress{follower}}
	first := acquire(t, mgr, follower)

	for _, form := range forms {
		require.Same(t, first, acquire(t, mgr, form))
	}

	mgr.Release(orchestrator)

	for _, form := range forms {
		require.Equal(t, 1, mgr.Len())
		mgr.Release(form)
	}

	require.Equal(t, 0, mgr.Len())
}

func TestConnManager_OtherHostsAndTypesAreOtherConnections(t *testing.T) {
	mgr := newConns(t)

	acquire(t, mgr, addr("n1"))
	acquire(t, mgr, addr("n2"))
	acquire(t, mgr, session.NewAddress("https://n1:1"))
	require.Equal(t, 3, mgr.Len())

	mgr.Release(addr("n1"))
	require.Equal(t, 2, mgr.Len())
}

func TestConnManager_ClosesAfterTheLastRelease(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		mgr, dials := n.conns()

		for n := range 3 {
			conn := acquire(t, mgr, addr("n1"))
			require.NoError(t, call(conn))
			mgr.Release(addr("n1"))
			require.Equal(t, codes.Canceled, status.Code(call(conn)))
			require.EqualValues(t, n+1, dials.Load())
		}
	})
}

func TestConnManager_KeepsAnIdleConnectionForTheIdleTime(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		mgr, _ := n.conns(session.WithIdleTimeout(time.Minute))
		first := acquire(t, mgr, addr("n1"))

		// The second idle time is not extended.
		mgr.Release(addr("n1"))
		wait(time.Minute - 1)
		require.Same(t, first, acquire(t, mgr, addr("n1")))
		wait(time.Hour)
		mgr.Release(addr("n1"))

		wait(time.Minute - 1)
		require.Equal(t, 1, mgr.Len())
		wait(1)
		require.Equal(t, 0, mgr.Len())
		require.NotSame(t, first, acquire(t, mgr, addr("n1")))
	})
}

// Promise S5: nobody dials again and again where nobody answers, for no caller.
func TestConnManager_FailedConnectionIsNotKept(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		mgr, dials := n.conns(session.WithIdleTimeout(time.Minute))

		conn := acquire(t, mgr, addr("n1"))
		requireFailed(t, conn)
		mgr.Release(addr("n1"))
		require.Zero(t, mgr.Len())

		before := dials.Load()

		time.Sleep(time.Minute)
		require.Equal(t, before, dials.Load())
	})
}

// The timer may have fired already when Acquire wants to stop it, and may then find a later
// Release. That Release has its own idle time.
func TestConnManager_TimerThatCannotBeStoppedClosesNothing(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		mgr, _ := n.conns(session.WithIdleTimeout(time.Minute))

		for range 200 {
			conn := acquire(t, mgr, addr("n1"))
			mgr.Release(addr("n1"))
			time.Sleep(time.Minute)

			// The timer is due at this instant, and runs before or after.
			again := acquire(t, mgr, addr("n1"))
			mgr.Release(addr("n1"))
			synctest.Wait()
			require.Equal(t, 1, mgr.Len(), conn == again)
		}
	})
}

func TestConnManager_SlowCredentialsDelayNobodyElse(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})

		release := make(chan struct{})
		asked := new(atomic.Int64)
		mgr, _ := n.conns(session.WithCredentials(func(to mino.Address) (credentials.TransportCredentials, error) {
			if to.Equal(addr("slow")) {
				asked.Add(1)
				<-release
			}

			return insecure.NewCredentials(), nil
		}))

		var wg sync.WaitGroup

		for range 2 {
			wg.Go(func() {
				_, err := mgr.Acquire(addr("slow"))
				if err != nil {
					t.Error(err)
				}
			})
		}

		synctest.Wait()
		require.NoError(t, call(acquire(t, mgr, addr("n1"))))
		mgr.Evict(addr("slow"))
		require.Equal(t, 1, mgr.Len())

		close(release)
		wg.Wait()
		require.EqualValues(t, 1, asked.Load())
		require.Equal(t, 2, mgr.Len())
	})
}

func TestConnManager_EvictEndsHungCallsAndDialsAnew(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		peer := &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			<-ctx.Done()

			return nil, ctx.Err()
		}}
		n.peer("n1", peer)
		mgr, dials := n.conns()

		old := acquire(t, mgr, addr("n1"))
		hung := make(chan error, 1)
		go func() { hung <- call(old) }()

		synctest.Wait()
		mgr.Evict(session.NewOrchestratorAddress(addr("n1")))
		require.Equal(t, codes.Canceled, status.Code(<-hung))
		require.Equal(t, 0, mgr.Len())

		peer.OnForward = nil
		fresh := acquire(t, mgr, addr("n1"))
		require.NoError(t, call(fresh))
		require.EqualValues(t, 2, dials.Load())

		// Nobody knows whose Release comes first: both connections are in use.
		mgr.Release(addr("n1"))
		require.NoError(t, call(fresh))
		require.Equal(t, 1, mgr.Len())
		mgr.Release(addr("n1"))
		require.Equal(t, 0, mgr.Len())
	})
}

// Only the connection that is meant is given up, and not the one that has replaced it: of several
// streams that break together, the last one must not cost the others their new connection.
func TestConnManager_ReplaceGivesUpOneConnection(t *testing.T) {
	mgr := session.NewConnManager()
	defer func() { require.NoError(t, mgr.Close()) }()

	first, err := mgr.Acquire(addr("n1"))
	require.NoError(t, err)

	mgr.Replace(addr("n1"), first)

	second, err := mgr.Acquire(addr("n1"))
	require.NoError(t, err)
	require.NotSame(t, first, second)

	mgr.Replace(addr("n1"), first)
	mgr.Replace(addr("n2"), first)

	third, err := mgr.Acquire(addr("n1"))
	require.NoError(t, err)
	require.Same(t, second, third)

	for range 3 {
		mgr.Release(addr("n1"))
	}

	require.Zero(t, mgr.Len())
}

func TestConnManager_EvictedWithoutSuccessorLeavesNothing(t *testing.T) {
	mgr := newConns(t, session.WithIdleTimeout(time.Hour))
	mgr.Evict(addr("n1"))
	mgr.Evict(nil)

	acquire(t, mgr, addr("n1"))
	mgr.Evict(addr("n1"))
	mgr.Evict(addr("n1"))
	mgr.Release(addr("n1"))
	require.Equal(t, 0, mgr.Len())

	// An idle connection goes at once.
	acquire(t, mgr, addr("n1"))
	mgr.Release(addr("n1"))
	require.Equal(t, 1, mgr.Len())
	mgr.Evict(addr("n1"))
	require.Equal(t, 0, mgr.Len())
}

// Promise L6: Close is idempotent, and leaves no connection.
func TestConnManager_CloseEndsWhatIsInUseAndWhatIsIdle(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		n.peer("n2", &sessiontest.Peer{})
		mgr, _ := n.conns(session.WithIdleTimeout(time.Hour))

		used, idle := acquire(t, mgr, addr("n1")), acquire(t, mgr, addr("n2"))
		require.NoError(t, call(used))
		require.NoError(t, call(idle))
		mgr.Release(addr("n2"))

		require.NoError(t, mgr.Close())
		require.NoError(t, mgr.Close())
		require.Equal(t, 0, mgr.Len())
		require.Equal(t, codes.Canceled, status.Code(call(used)))
		require.Equal(t, codes.Canceled, status.Code(call(idle)))

		_, err := mgr.Acquire(addr("n1"))
		require.ErrorIs(t, err, session.ErrClosed)

		mgr.Release(addr("n1"))
		mgr.Evict(addr("n1"))
		require.Equal(t, 0, mgr.Len())
	})
}

func TestConnManager_CloseDuringADialFailsIt(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		release := make(chan struct{})
		mgr, _ := n.conns(session.WithCredentials(func(mino.Address) (credentials.TransportCredentials, error) {
			<-release

			return insecure.NewCredentials(), nil
		}))

		failed := make(chan error, 1)
		go func() {
			_, err := mgr.Acquire(addr("n1"))
			failed <- err
		}()

		synctest.Wait()
		require.NoError(t, mgr.Close())
		close(release)
		require.ErrorIs(t, <-failed, session.ErrClosed)
		require.Equal(t, 0, mgr.Len())
	})
}

func TestConnManager_ReleaseOfWhatIsNotHeldDoesNothing(t *testing.T) {
	mgr := newConns(t, session.WithIdleTimeout(time.Hour))
	mgr.Release(addr("n1"))
	mgr.Release(nil)

	first := acquire(t, mgr, addr("n1"))
	mgr.Release(addr("n2"))
	mgr.Release(addr("n1"))
	mgr.Release(addr("n1"))
	require.Same(t, first, acquire(t, mgr, addr("n1")))
	require.Equal(t, 1, mgr.Len())
}

// Promise S1: a panic of the callback is an error, and the next call may succeed.
func TestConnManager_FailedCredentialsLeaveNothingBehind(t *testing.T) {
	oops := errors.New("oops")
	failures := []func(){func() { panic("oops") }, func() { panic(oops) }, nil}

	mgr := newConns(t, session.WithCredentials(func(mino.Address) (credentials.TransportCredentials, error) {
		if len(failures) == 0 {
			return insecure.NewCredentials(), nil
		}

		fail := failures[0]
		failures = failures[1:]

		if fail != nil {
			fail()
		}

		return nil, oops
	}))

	for len(failures) > 0 {
		_, err := mgr.Acquire(addr("n1"))
		require.ErrorContains(t, err, "oops")
		require.Equal(t, 0, mgr.Len())
	}

	// A failure holds nothing, so this is the last Release.
	acquire(t, mgr, addr("n1"))
	require.Equal(t, 1, mgr.Len())
	mgr.Release(addr("n1"))
	require.Equal(t, 0, mgr.Len())
}

func TestConnManager_CredentialsAreForTheFollower(t *testing.T) {
	foreign := embeddingAddress{addr("n2")}

	var asked []mino.Address

	mgr := newConns(t, session.WithCredentials(func(to mino.Address) (credentials.TransportCredentials, error) {
		asked = append(asked, to)

		return insecure.NewCredentials(), nil
	}))

	acquire(t, mgr, session.WrapAddress(session.NewOrchestratorAddress(addr("n1"))))
	acquire(t, mgr, session.WrapAddress(foreign))
	require.Equal(t, []mino.Address{addr("n1"), foreign}, asked)
}

func TestConnManager_RefusesWhatItCannotDial(t *testing.T) {
	mgr := newConns(t, session.WithCredentials(nil))

	table := []struct {
		addr    mino.Address
		message string
	}{
		{nil, "cannot be dialled"},
		{foreignAddress{text: "n1:1"}, "cannot be dialled"},
		{session.WrapAddress(foreignAddress{text: "n1:1"}), "cannot be dialled"},
		{session.Address{}, "address is empty"},
		{session.NewAddress("grpcs://n1:1"), "certificate of the address is unknown"},
		{session.AddressFactory{}.FromText([]byte("FDn1:1")), "no way to connect to a ws address"},
		{session.AddressFactory{}.FromText([]byte("FZn1:1")), "no way to connect to a unknown-25 address"},
	}

	for _, row := range table {
		_, err := mgr.Acquire(row.addr)

		require.ErrorContains(t, err, row.message)
		require.Equal(t, 0, mgr.Len())
	}
}

// Promise L3: the manager soon reconnects to a node that comes back, however long it was gone.
func TestConnManager_ReconnectsWithinAboutASecond(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		n.RefuseDial("n1:1")

		mgr, _ := n.conns()
		conn := acquire(t, mgr, addr("n1"))
		answered := make(chan error, 1)
		go func() { answered <- call(conn, grpc.WaitForReady(true)) }()

		wait(time.Hour)
		n.AllowDial("n1:1")

		back := time.Now()
		require.NoError(t, <-answered)
		require.LessOrEqual(t, time.Since(back), 1200*time.Millisecond)
	})
}

// Promise L3: when a failed connection is idle, the next Acquire dials at once.
func TestConnManager_FailedIdleConnectionIsNotUsedAgain(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		n.RefuseDial("n1:1")

		mgr, dials := n.conns(session.WithIdleTimeout(time.Minute))
		requireFailed(t, acquire(t, mgr, addr("n1")))
		mgr.Release(addr("n1"))

		n.AllowDial("n1:1")
		require.NoError(t, call(acquire(t, mgr, addr("n1"))))
		require.Equal(t, 1, mgr.Len())

		// A connection that works is used again.
		before := dials.Load()
		mgr.Release(addr("n1"))
		require.NoError(t, call(acquire(t, mgr, addr("n1"))))
		require.Equal(t, before, dials.Load())
		mgr.Release(addr("n1"))
	})
}

func TestConnManager_OverTCP(t *testing.T) {
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	defer new(sessiontest.Peer).Serve(lis)()

	to := session.NewAddress("grpc://" + lis.Addr().String())
	mgr := newConns(t)
	require.NoError(t, call(acquire(t, mgr, to)))
	mgr.Release(to)
	require.Equal(t, 0, mgr.Len())
}

func TestConnManager_EveryAcquireWithItsReleaseLeavesNothing(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n0", &sessiontest.Peer{})
		n.peer("n1", &sessiontest.Peer{})
		mgr, _ := n.conns()

		var wg sync.WaitGroup

		for i := range 8 {
			to := addr([]string{"n0", "n1"}[i%2])

			wg.Go(func() {
				for n := range 50 {
					conn, err := mgr.Acquire(to)
					if err != nil {
						t.Error(err)

						return
					}

					// Only an eviction may end the connection while it is in use.
					if code := status.Code(call(conn)); code != codes.OK && code != codes.Canceled {
						t.Error(code)
					}

					if n%10 == i {
						mgr.Evict(to)
					}

					mgr.Release(to)
				}
			})
		}

		wg.Wait()
		require.Equal(t, 0, mgr.Len())
	})
}

// requireFailed asserts that a call fails, and waits until the connection says that it has failed:
// gRPC fails the calls a moment before.
func requireFailed(t *testing.T, conn grpc.ClientConnInterface) {
	t.Helper()

	require.Error(t, call(conn))
	synctest.Wait()
}

// network is a network in memory with nodes that the test plays.
type network struct {
	*sessiontest.Network

	t *testing.T
}

// inNetwork runs a test with a network, in a bubble of virtual time.
func inNetwork(t *testing.T, test func(t *testing.T, n network)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		n := network{sessiontest.NewNetwork(), t}
		t.Cleanup(n.Close)

		test(t, n)
	})
}

// peer runs a node that the test plays.
func (n network) peer(name string, peer *sessiontest.Peer) {
	listener, err := n.Listen(name + ":1")
	require.NoError(n.t, err)

	n.t.Cleanup(peer.Serve(listener))
}

// conns returns a manager that dials over the network, and the number of its dials so far.
func (n network) conns(opts ...session.ConnOption) (*session.ConnManager, *atomic.Int64) {
	dials := new(atomic.Int64)
	dialer := n.Dialer("me:1")
	counting := func(ctx context.Context, target string) (net.Conn, error) {
		dials.Add(1)

		return dialer(ctx, target)
	}

	mgr := session.NewConnManager(append(opts, session.WithDialOptions(grpc.WithContextDialer(counting)))...)
	n.t.Cleanup(func() { require.NoError(n.t, mgr.Close()) })

	return mgr, dials
}

// newConns returns a manager without a network, for tests that do not call.
func newConns(t *testing.T, opts ...session.ConnOption) *session.ConnManager {
	t.Helper()

	mgr := session.NewConnManager(opts...)
	t.Cleanup(func() { require.NoError(t, mgr.Close()) })

	return mgr
}

// addr returns the address of a node without TLS.
func addr(name string) session.Address {
	return session.NewAddress("grpc://" + name + ":1")
}

func acquire(t *testing.T, mgr *session.ConnManager, to mino.Address) grpc.ClientConnInterface {
	t.Helper()

	conn, err := mgr.Acquire(to)
	require.NoError(t, err)

	return conn
}

// call uses a connection.
func call(conn grpc.ClientConnInterface, opts ...grpc.CallOption) error {
	_, err := ptypes.NewOverlayClient(conn).Forward(context.Background(), &ptypes.Packet{}, opts...)

	return err
}

// wait lets the time of a bubble pass, and all that happens in it.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
