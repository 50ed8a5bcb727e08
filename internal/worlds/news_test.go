package worlds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// watched is an RPC of real nodes whose orchestrator watches the players. Node 0 is the root, and the
// last node the orchestrator.
type watched struct {
	*testing.T

	net    *sessiontest.Network
	nodes  []*minogrpc.Minogrpc
	cancel context.CancelFunc
	out    mino.Sender
	in     mino.Watcher
}

// streamFunc is a handler as a function of the number of the player.
type streamFunc func(me int, out mino.Sender, in mino.Receiver) error

// numbered implements mino.Handler.
type numbered struct {
	mino.UnsupportedHandler

	play streamFunc
	me   int
}

func (n numbered) Stream(out mino.Sender, in mino.Receiver) error { return n.play(n.me, out, in) }

// untilEnd is a handler that reads until the stream ends.
func untilEnd(_ int, _ mino.Sender, in mino.Receiver) error {
	for {
		if _, _, err := in.Recv(context.Background()); err != nil {
			return err
		}
	}
}

// watch runs a test with an RPC of n players in a tree of a height, in a bubble.
func watch(t *testing.T, height, n int, play streamFunc, test func(w *watched), opts ...minogrpc.Option) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		w := &watched{T: t, net: sessiontest.NewNetwork()}
		ctx, cancel := context.WithCancel(t.Context())
		w.cancel = cancel

		players := make([]mino.Address, n)
		for i := range players {
			players[i] = w.start(i, height, opts...).GetAddress()
			mino.MustCreateRPC(w.nodes[i], "watched", numbered{play: play, me: i}, fake.MessageFactory{})
		}

		rpc := mino.MustCreateRPC(w.start(n, height, opts...), "watched", mino.UnsupportedHandler{}, fake.MessageFactory{})
		out, in, err := rpc.Stream(mino.WithNews(ctx), mino.NewAddresses(players...))
		require.NoError(t, err)

		w.out, w.in = out, in.(mino.Watcher)

		for range out.Send(fake.Message("go"), players...) {
		}

		test(w)
		cancel()

		for _, node := range w.nodes {
			require.NoError(t, node.Stop())
		}

		w.net.Close()
	})
}

func (w *watched) start(i, height int, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	listener, err := w.net.Listen(nodeName(i))
	require.NoError(w, err)

	node, err := minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: nodeName(i)}, routerOf(height),
		append([]minogrpc.Option{
			minogrpc.WithListener(listener), minogrpc.NoTLS(),
			minogrpc.WithDialOptions(grpc.WithContextDialer(w.net.Dialer(nodeName(i)))),
		}, opts...)...)
	require.NoError(w, err)

	w.nodes = append(w.nodes, node)

	return node
}

func nodeName(i int) string { return fmt.Sprintf("n%d:1", i) }

// others returns the names of all nodes but one.
func (w *watched) others(i int) []string {
	var names []string

	for j := range w.nodes {
		if j != i {
			names = append(names, nodeName(j))
		}
	}

	return names
}

// news returns the news that come within a time, as "player state".
func (w *watched) news(within time.Duration) []string {
	ctx, cancel := context.WithTimeout(w.Context(), within)
	defer cancel()

	var all []string

	for {
		event, err := w.in.RecvEvent(ctx)
		if err != nil {
			return all
		}

		if event.Message == nil {
			all = append(all, w.describe(event))
		}
	}
}

func (w *watched) describe(event mino.Event) string {
	for i := range w.nodes {
		if event.From.Equal(addr(fmt.Sprint("n", i))) {
			return fmt.Sprint(i, " ", event.State)
		}
	}

	return "nobody"
}

// reachedAll returns the news when all players have been reached.
func reachedAll(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i, " reached")
	}

	return all
}

// links are the options of nodes that exchange packets in calls, and of those that do not.
var links = map[string][]minogrpc.Option{
	"duplex": nil, "unicast": {minogrpc.WithSessionOptions(session.WithoutDuplex())},
}

// Promise P2: the orchestrator is told that a player was reached, that it is lost within the bound of
// liveness, and that it is back.
func TestNews_OfAPlayerThatIsCutOffAndComesBack(t *testing.T) {
	watch(t, 3, 7, untilEnd, func(w *watched) {
		require.ElementsMatch(w, reachedAll(7), w.news(time.Second))

		start := time.Now()
		w.net.Cut(nodeName(1), w.others(1)...)

		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		defer cancel()

		event, err := w.in.RecvEvent(ctx)
		require.NoError(w, err)
		require.Equal(w, "1 lost", w.describe(event))
		require.Error(w, event.Cause)
		require.LessOrEqual(w, time.Since(start), session.DefaultLiveness+session.DefaultResumeTimeout+time.Second)

		for _, other := range w.others(1) {
			w.net.Heal(nodeName(1), other)
		}

		require.Equal(w, []string{"1 back"}, w.news(time.Minute))
	})
}

// Promise P2: a handler that fails or panics is reported at once, with its text.
func TestNews_OfAHandlerThatFails(t *testing.T) {
	for name, opts := range links {
		t.Run(name, func(t *testing.T) {
			play := func(me int, out mino.Sender, in mino.Receiver) error {
				_, _, _ = in.Recv(context.Background())

				switch me {
				case 5:
					return errors.New("out of luck \xff" + strings.Repeat("x", 2_000))
				case 6: // It is below 5.
					panic("on purpose")
				default:
					return untilEnd(me, out, in)
				}
			}

			watch(t, 3, 7, play, func(w *watched) {
				texts := make(map[string]string)
				ctx, cancel := context.WithTimeout(w.Context(), time.Second)
				defer cancel()

				for len(texts) < 2 {
					event, err := w.in.RecvEvent(ctx)
					require.NoError(w, err)

					if event.State == mino.PlayerFailed {
						texts[w.describe(event)] = event.Cause.Error()
					}
				}

				require.Contains(w, texts["5 failed"], "out of luck \uFFFDxxx")
				require.LessOrEqual(w, len(texts["5 failed"]), 1<<10)
				require.Contains(w, texts["6 failed"], "on purpose")
			}, opts...)
		})
	}
}

// Promise P2: what a player has sent comes before the news that it has finished, large messages as well as
// small ones, and whether it waits for the outcomes or not.
func TestNews_OfAHandlerThatEndsComeAfterItsMessages(t *testing.T) {
	for name, opts := range links {
		t.Run(name, func(t *testing.T) {
			play := func(me int, out mino.Sender, in mino.Receiver) error {
				if me != 6 {
					return untilEnd(me, out, in)
				}

				_, _, _ = in.Recv(context.Background())
				from, _, _ := in.Recv(context.Background())

				for i := range 100 {
					out.Send(fake.Message(strings.Repeat("x", 1+i%10/9*300_000)), from)
				}

				return nil
			}

			watch(t, 3, 7, play, func(w *watched) {
				// Small messages now pass by large ones that go in calls of their own.
				w.net.Bandwidth(nodeName(6), nodeName(5), 1<<20)

				for err := range w.out.Send(fake.Message("now"), w.nodes[6].GetAddress()) {
					require.NoError(w, err)
				}

				messages := 0

				for {
					event, err := w.in.RecvEvent(w.Context())
					require.NoError(w, err)

					if event.Message != nil {
						messages++
					} else if w.describe(event) == "6 finished" {
						break
					}
				}

				require.Equal(w, 100, messages)
				require.Empty(w, w.news(time.Minute), "nothing comes after it")
			}, opts...)
		})
	}
}

// Promise P2: an interior node that dies is lost, and its child, which another node adopts, is not.
func TestNews_OfAnInteriorNodeThatDies(t *testing.T) {
	watch(t, 3, 7, untilEnd, func(w *watched) {
		require.ElementsMatch(w, reachedAll(7), w.news(time.Second))
		w.net.Cut(nodeName(5), w.others(5)...)

		last := make(map[string]string)

		for _, news := range w.news(time.Minute) {
			player, state, _ := strings.Cut(news, " ")
			last[player] = state
		}

		require.Equal(w, "lost", last["5"])
		require.Contains(w, []string{"", "back"}, last["6"])
	})
}

// Promise P2: the end of the stream says that the root is lost, and the news before it do, too.
func TestNews_OfALostRoot(t *testing.T) {
	watch(t, 3, 3, untilEnd, func(w *watched) {
		require.ElementsMatch(w, reachedAll(3), w.news(time.Second))
		w.net.Cut(nodeName(0), w.others(0)...)
		require.Equal(w, []string{"0 lost"}, w.news(time.Minute))

		_, err := w.in.RecvEvent(w.Context())
		require.Error(w, err)
		require.NotErrorIs(w, err, io.EOF)
	})
}

// Promise P2: Recv returns messages alone, and nobody has to read the news.
func TestNews_AreNoMessages(t *testing.T) {
	play := func(me int, out mino.Sender, in mino.Receiver) error {
		from, _, _ := in.Recv(context.Background())
		out.Send(fake.Message("done"), from)

		return nil
	}

	watch(t, 3, 7, play, func(w *watched) {
		for range 7 {
			_, msg, err := w.in.Recv(w.Context())
			require.NoError(w, err)
			require.Equal(w, fake.Message("done"), msg)
		}

		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()

		_, _, err := w.in.Recv(ctx)
		require.ErrorIs(w, err, context.DeadlineExceeded)

		want := reachedAll(7)
		for i := range want {
			want[i] = fmt.Sprint(i, " finished")
		}

		require.ElementsMatch(w, want, w.news(time.Second), "the newest of each")
	})
}
