package minogrpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/minogrpc/internal/gate"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a node remembers of the hosts has no public face: nobody comes from 10,000
// of them. All these tests are in a bubble, where the time stands still until
// everybody sleeps.

// quickLimits are small ones. A token of a host comes in within 15 seconds.
func quickLimits() limits {
	return limits{
		hostStreams: 10, pending: 10,
		handshakeFailures: 4, wrongTokens: 4, allWrongTokens: 6, introductions: 4,
	}
}

// counted is what a host may do four times in a minute.
type counted struct {
	name string
	may  func(*rates, string) error
	did  func(*rates, string)
}

func everythingCounted() []counted {
	return []counted{
		{"failed handshakes", (*rates).admits, (*rates).handshakeFailed},
		{"wrong tokens", (*rates).mayTryToken, (*rates).tokenWrong},
		// Who may do it has done it.
		{"joins and shares", (*rates).mayIntroduce, func(*rates, string) {}},
	}
}

// requireTooMany checks that the error tells what there was too much of.
func requireTooMany(t *testing.T, err error, what string) {
	t.Helper()

	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "too many "+what+": try again in about ")
}

// Promise S2: a host that has failed too often is refused, and nobody else is.
func TestRates_OneHostDoesNotLockOutAnother(t *testing.T) {
	for _, c := range everythingCounted() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRates(quickLimits())

				for range 4 {
					require.NoError(t, c.may(r, "bad"))
					c.did(r, "bad")
				}

				requireTooMany(t, c.may(r, "bad"), c.name)
				require.ErrorContains(t, c.may(r, "bad"), "in about 15s")
				require.NoError(t, c.may(r, "good"))
			})
		})
	}
}

func TestRates_TimePaysForFailures(t *testing.T) {
	for _, c := range everythingCounted() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRates(quickLimits())
				exhaust := func(times int) {
					for range times {
						require.NoError(t, c.may(r, "host"))
						c.did(r, "host")
					}

					requireTooMany(t, c.may(r, "host"), c.name)
				}

				exhaust(4)
				time.Sleep(16 * time.Second)
				exhaust(1)

				// A bucket does not hold more than the tokens of one minute.
				time.Sleep(time.Hour)
				exhaust(4)
			})
		})
	}
}

func TestRates_BeingRefusedDoesNotProlongTheWait(t *testing.T) {
	for _, c := range everythingCounted() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRates(quickLimits())

				for range 4 {
					require.NoError(t, c.may(r, "host"))
					c.did(r, "host")
				}

				for range 1_000 {
					require.Error(t, c.may(r, "host"))
				}

				time.Sleep(16 * time.Second)
				require.NoError(t, c.may(r, "host"))
			})
		})
	}
}

func TestRates_SuccessCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(quickLimits())

		for range 1_000 {
			require.NoError(t, r.admits("host"))
			require.NoError(t, r.mayTryToken("host"))
		}

		require.Zero(t, r.handshakes.Len())
		require.Zero(t, r.tokens.Len())
	})
}

// Promise S2: many hosts cannot guess together.
func TestRates_WrongTokensOfAllHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(quickLimits())

		for i := range 6 {
			require.NoError(t, r.mayTryToken(strconv.Itoa(i)))
			r.tokenWrong(strconv.Itoa(i))
		}

		requireTooMany(t, r.mayTryToken("another"), "wrong tokens from all hosts")
		require.NoError(t, r.admits("another"))

		time.Sleep(11 * time.Second)
		require.NoError(t, r.mayTryToken("another"))
	})
}

// Promise S2: who tries much at once pays for it later, and alone.
func TestRates_FailuresAtOnceAreOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(quickLimits())

		for range 100 {
			require.NoError(t, r.mayTryToken("bad"))
			require.NoError(t, r.admits("bad"))
		}

		for range 100 {
			r.tokenWrong("bad")
			r.handshakeFailed("bad")
		}

		require.NoError(t, r.mayTryToken("good"))

		// The 97th of the tokens that come in is the first that is not owed.
		time.Sleep(96 * 15 * time.Second)
		requireTooMany(t, r.mayTryToken("bad"), "wrong tokens")
		requireTooMany(t, r.admits("bad"), "failed handshakes")

		time.Sleep(16 * time.Second)
		require.NoError(t, r.mayTryToken("bad"))
		require.NoError(t, r.admits("bad"))
	})
}

// Promise S3: what is remembered is bounded, and who owes is not forgotten for those
// who come after.
func TestRates_RememberABoundedNumberOfHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(quickLimits())

		for range 4 {
			r.handshakeFailed("bad")
		}

		for i := range 2*gate.RememberedHosts - 1 {
			r.handshakeFailed(fmt.Sprintf("first %d", i))
			require.LessOrEqual(t, r.handshakes.Len(), gate.RememberedHosts)
		}

		require.Equal(t, gate.RememberedHosts, r.handshakes.Len())
		requireTooMany(t, r.admits("bad"), "failed handshakes")

		// By then all but the bad one have paid for their failure, and several of them go.
		time.Sleep(16 * time.Second)
		r.handshakeFailed("bad")
		r.handshakeFailed("late")
		require.Less(t, r.handshakes.Len(), gate.RememberedHosts)
		requireTooMany(t, r.admits("bad"), "failed handshakes")
	})
}

func TestRates_AreExactForManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(quickLimits())

		var (
			wg      sync.WaitGroup
			allowed atomic.Int32
		)

		for i := range 100 {
			wg.Go(func() {
				if r.mayIntroduce(strconv.Itoa(i%2)) == nil {
					allowed.Add(1)
				}

				_ = r.admits("host")
				r.handshakeFailed("host")
				_ = r.mayTryToken("host")
				r.tokenWrong("host")
			})
		}

		wg.Wait()
		require.EqualValues(t, 2*4, allowed.Load())
		// It owes 96 tokens, and the next one comes after those.
		require.Equal(t, 97*15*time.Second, r.handshakes.Wait("host"))
		require.InDelta(t, 6-4, r.allTokens.Tokens(), 0)
	})
}

// pipes is a listener in memory. The network of the tests outside of the package is no choice here:
// its package imports this one.
type pipes chan net.Conn

// dial connects a host, without waiting for Accept.
func (p pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p <- pipeFrom{Conn: server, from: from}

	return client
}

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (p pipes) Close() error              { return nil }
func (p pipes) Addr() net.Addr            { return pipeFrom{from: "node:1"} }

// pipeFrom is a connection from an address, and that address.
type pipeFrom struct {
	net.Conn

	from string
}

func (c pipeFrom) RemoteAddr() net.Addr { return c }
func (c pipeFrom) Network() string      { return "pipe" }
func (c pipeFrom) String() string       { return c.from }

// Promise S2: a host whose handshakes fail all the time does not get as far as a
// handshake, and the others do.
func TestListener_ClosesTheConnectionsOfAHostThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := make(pipes, 2)

		refused := make(chan error, 1)
		l := newListener(inner, quickLimits(), newTally())
		l.rates = newRates(l.limits)
		l.refused = func(from net.Addr, cause error) { refused <- fmt.Errorf("%v: %w", from, cause) }

		for range 4 {
			l.rates.handshakeFailed("bad")
		}

		bad, good := inner.dial("bad:1"), inner.dial("good:1")

		conn, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "good:1", conn.RemoteAddr().String())

		cause := <-refused
		require.ErrorContains(t, cause, "bad:1: ")
		require.Equal(t, codes.ResourceExhausted, status.Code(errors.Unwrap(cause)))
		require.ErrorContains(t, cause, "too many failed handshakes")

		_, err = bad.Read(make([]byte, 1))
		require.Error(t, err)
		require.Len(t, l.tally.counts, 3) // the connection of the good one, for its host and for all, and its set-up

		// After a while it may try again.
		time.Sleep(16 * time.Second)
		again := inner.dial("bad:2")
		second, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "bad:2", second.RemoteAddr().String())

		for _, c := range []net.Conn{bad, good, again, conn, second} {
			require.NoError(t, c.Close())
		}

		require.NoError(t, l.Close())
		require.Empty(t, l.tally.counts)
	})
}

// Promise S4: before its key is believed a peer sends little for the handshake, and little more after
// it. The listener of a node without TLS has nobody to believe.
func TestListener_ConfinesWhatAStrangerSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := make(pipes, 2)

		refused := make(chan error, 2)
		l := newListener(inner, quickLimits(), newTally())
		l.secure = true
		l.refused = func(_ net.Addr, cause error) { refused <- cause }

		connect := func() (net.Conn, *accepted) {
			client := inner.dial("stranger:1")
			server, err := l.Accept()
			require.NoError(t, err)

			return client, server.(*accepted)
		}

		client, server := connect()
		exchange := func(bytes int) error {
			go func() { _, _ = client.Write(make([]byte, bytes)) }() // It ends with the connection.

			_, err := io.ReadFull(server, make([]byte, bytes))

			return err
		}
		requireClosed := func(err error) {
			require.Equal(t, codes.ResourceExhausted, status.Code(err))
			require.Equal(t, codes.ResourceExhausted, status.Code(<-refused))

			_, err = client.Write([]byte{1})
			require.Error(t, err)
		}

		require.NoError(t, exchange(handshakeBytes))
		requireClosed(exchange(1))

		client, server = connect()
		require.NoError(t, exchange(1_000))
		require.NoError(t, server.confine(func() bool { return false }))
		require.NoError(t, server.spend(strangerBytes-1_010))
		require.NoError(t, exchange(10))
		requireClosed(exchange(1))

		// Who is believed sends as much as it likes.
		client, server = connect()
		require.NoError(t, server.confine(func() bool { return false }))
		server.Free()
		require.NoError(t, exchange(strangerBytes))
		require.NoError(t, server.spend(strangerBytes))
		require.Empty(t, refused)
		require.NoError(t, server.Close())

		require.Empty(t, l.tally.counts)
		require.Zero(t, l.arrivals.Len()+l.handshakes.Len()+l.strangers.Len())
		require.NoError(t, l.Close())
	})
}

// Promise S4: nor does it make many calls, or stay for long.
func TestListener_StrangerMakesFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := make(pipes, 2)

		l := newListener(inner, quickLimits(), newTally())
		l.secure = true

		client := inner.dial("stranger:1")
		conn, err := l.Accept()
		require.NoError(t, err)

		server := conn.(*accepted)
		require.NoError(t, server.confine(func() bool { return false }))

		for range strangerCalls {
			require.NoError(t, server.spend(0))
		}

		require.Equal(t, codes.ResourceExhausted, status.Code(server.spend(0)))

		// Nobody stays a stranger for ever.
		time.Sleep(strangerPeriod)
		synctest.Wait()
		_, err = client.Write([]byte{1})
		require.Error(t, err)

		require.Empty(t, l.tally.counts)
		require.Zero(t, l.strangers.Len())
		require.NoError(t, l.Close())
	})
}

func TestRateOptions_OthersThanPositiveAreIgnored(t *testing.T) {
	with := func(n int) limits {
		return newConfig([]Option{
			WithHandshakeLimit(n), WithTokenLimit(n, n+1), WithIntroductionLimit(n), WithMaxPeers(n),
		}).limits
	}

	require.Equal(t, newLimits(), with(-1))

	l := with(3)
	require.Equal(t, []int{3, 3, 4, 3, 3},
		[]int{l.handshakeFailures, l.wrongTokens, l.allWrongTokens, l.introductions, l.maxPeers})
}
