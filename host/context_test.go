package host_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// contextual implements mino.ContextHandler with functions. What it has of a mino.Handler fails.
type contextual struct {
	mino.UnsupportedHandler

	process func(context.Context, mino.Request) (serde.Message, error)
	stream  func(context.Context, mino.Sender, mino.Receiver) error
}

func (h contextual) ProcessContext(ctx context.Context, req mino.Request) (serde.Message, error) {
	return h.process(ctx, req)
}

func (h contextual) StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error {
	return h.stream(ctx, out, in)
}

// waiting is a handler that answers the first message, waits for the end of its context, and tells the cause.
// It returns before the stream has ended: that changes nothing for the context.
func waiting(causes chan<- error) contextual {
	return contextual{stream: func(ctx context.Context, out mino.Sender, in mino.Receiver) error {
		from, msg, err := in.Recv(ctx)
		if err != nil {
			return err
		}

		out.Send(msg, from)

		go func() {
			<-ctx.Done()
			causes <- context.Cause(ctx)
		}()

		return nil
	}}
}

// Promise P1: the context of a handler ends with its stream, at the root and below it, and says why.
func TestContext_EndsWithTheStream(t *testing.T) {
	for name, tc := range map[string]struct {
		end func(cancel context.CancelFunc, w *world, root *node)
		// root and leaf are what the causes are.
		root, leaf func(w *world, cause error)
	}{
		"a clean end": {
			func(cancel context.CancelFunc, _ *world, _ *node) { cancel() }, requireClean, requireClean,
		},
		"the root stops": {
			func(_ context.CancelFunc, w *world, root *node) { require.NoError(w, root.stop()) },
			requireStopped, requireClean,
		},
		"the root is cut off": {
			func(_ context.CancelFunc, w *world, _ *node) { w.network.Cut("root:1", "o:1", "leaf:1") },
			requireLost, requireLost,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				ofRoot, ofLeaf := make(chan error, 1), make(chan error, 1)
				o := w.start("o:1", echo)
				root, leaf := w.start("root:1", waiting(ofRoot)), w.start("leaf:1", waiting(ofLeaf))

				ctx, cancel := context.WithCancel(w.Context())
				defer cancel()

				out, in, err := o.test.Stream(ctx, players(root, leaf))
				require.NoError(w, err)
				w.requireEcho(out, in, root)
				w.requireEcho(out, in, leaf)
				synctest.Wait()
				require.Empty(w, ofRoot)
				require.Empty(w, ofLeaf)

				tc.end(cancel, w, root)
				tc.root(w, <-ofRoot)
				tc.leaf(w, <-ofLeaf)
			})
		})
	}
}

func requireClean(w *world, cause error) {
	w.Helper()
	require.Equal(w, io.EOF, cause)
}

func requireStopped(w *world, cause error) {
	w.Helper()
	require.ErrorIs(w, cause, io.EOF)
	require.ErrorIs(w, cause, host.ErrStopped)
}

func requireLost(w *world, cause error) {
	w.Helper()
	require.Error(w, cause)
	require.NotErrorIs(w, cause, io.EOF)
	require.NotErrorIs(w, cause, context.Canceled)
}

// Promise P1: a handler that receives with its context gets what is queued when the stream ends, and then the
// cause. Its own deadline still counts before the end.
func TestContext_RecvGetsWhatIsQueuedFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		early, begin, last := make(chan error, 1), make(chan struct{}), make(chan error, 1)
		got := make(chan serde.Message, 4)
		o, root := w.start("o:1", echo), w.start("root:1", contextual{
			stream: func(ctx context.Context, _ mino.Sender, in mino.Receiver) error {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()

				_, _, err := in.Recv(short)
				early <- err

				<-begin

				for {
					_, msg, err := in.Recv(ctx)
					if err != nil {
						last <- err

						return context.Cause(ctx)
					}

					got <- msg
				}
			},
		})

		ctx, cancel := context.WithCancel(w.Context())
		defer cancel()

		out, _, err := o.test.Stream(ctx, players(root))
		require.NoError(w, err)
		require.Equal(w, context.DeadlineExceeded, <-early)

		sent := []text{"one", "two", "three"}
		for _, msg := range sent {
			for err := range out.Send(msg, root.me) {
				require.NoError(w, err)
			}
		}

		cancel()
		time.Sleep(time.Minute)
		close(begin)
		require.Equal(w, io.EOF, <-last)

		for _, msg := range sent {
			require.Equal(w, msg, <-got)
		}
	})
}

// telling is a handler that keeps what there is to know at each message, which it answers.
func telling(infos chan<- mino.Info) contextual {
	return contextual{stream: func(ctx context.Context, out mino.Sender, in mino.Receiver) error {
		for {
			from, msg, err := in.Recv(ctx)
			if err != nil {
				return err
			}

			info, _ := mino.InfoOf(ctx)
			infos <- info

			out.Send(msg, from)
		}
	}}
}

// Promise P1: a handler is told in which stream it is, and where in the tree. The addresses are those that the
// application knows, as keys of a map.
func TestContext_TellsTheStream(t *testing.T) {
	inWorld(t, func(w *world) {
		infos := make(chan mino.Info, 1)
		nodes := make([]*node, 8)

		for i := range nodes {
			nodes[i] = w.start(string(rune('a'+i))+":1", telling(infos))
		}

		// In this tree f is below the root, and g below f.
		o, all := nodes[0], nodes[1:]
		root, interior, leaf := all[0], all[5], all[6]

		out, in, err := o.test.Stream(mino.WithProtocol(w.Context(), "tag"), players(all...))
		require.NoError(w, err)

		told := make(map[mino.Address]mino.Info)

		for _, n := range all {
			w.requireEcho(out, in, n)
			info := <-infos
			told[info.Address] = info
		}

		for _, n := range all {
			require.Equal(w, told[root.me].Stream, told[n.me].Stream)
			require.Equal(w, "test", told[n.me].Procedure)
			require.Equal(w, "tag", told[n.me].Protocol)
			require.Equal(w, o.me, told[n.me].Orchestrator)
		}

		require.NotEmpty(w, told[root.me].Stream)
		require.Equal(w, o.me, told[root.me].Parent)
		require.Equal(w, root.me, told[interior.me].Parent)
		require.Equal(w, interior.me, told[leaf.me].Parent)
		require.Empty(w, told[leaf.me].Children)

		w.requireEcho(out, in, interior)
		require.Equal(w, []mino.Address{leaf.me}, (<-infos).Children)
		w.requireEcho(out, in, root)

		children := (<-infos).Children
		require.Len(w, children, 5)
		require.True(w, slices.ContainsFunc(children, interior.me.Equal))
	})
}

// Promise P1: what the nodes on the way do not say is not made up.
func TestContext_KnowsNoOrchestratorBehindAnExistingNode(t *testing.T) {
	inWorld(t, func(w *world) {
		infos := make(chan mino.Info, 1)
		a := w.start("a:1", contextual{stream: func(ctx context.Context, _ mino.Sender, _ mino.Receiver) error {
			info, _ := mino.InfoOf(ctx)
			infos <- info

			return nil
		}})

		leaf := []string{session.HandshakeKey, `{"Height":1,"Addresses":[]}`}
		_, err := w.open(a, as("FAparent:1", "1", leaf...)...)
		require.NoError(w, err)
		require.Equal(w, mino.Info{
			Stream: "1", Procedure: "test", Address: a.me, Parent: session.NewAddress("grpc://parent:1"),
		}, <-infos)

		_, err = w.open(a, as("FAparent:1", "2", append(leaf, session.OrchestratorKey, "FAo:1")...)...)
		require.NoError(w, err)
		require.Equal(w, session.NewAddress("grpc://o:1"), (<-infos).Orchestrator)
	})
}

// Promise P1: a handler without a context is called as before, and so is the half of one that has none.
func TestContext_IsOnlyForHandlersThatTakeOne(t *testing.T) {
	inWorld(t, func(w *world) {
		type half struct {
			handler
			contextStreamer
		}

		called := false
		stream := contextual{stream: func(context.Context, mino.Sender, mino.Receiver) error {
			called = true

			return nil
		}}
		process := handler{process: func(req mino.Request) (serde.Message, error) { return req.Message, nil }}
		o, a := w.start("o:1", echo), w.start("a:1", half{process, stream})

		answer, err := a.test.Process(w.Context(), o.me, []byte("hello"))
		require.NoError(w, err)
		require.Equal(w, "hello", string(answer))

		_, _, err = o.test.Stream(w.Context(), players(a))
		require.NoError(w, err)
		synctest.Wait()
		require.True(w, called)
	})
}

type contextStreamer interface {
	StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error
}

// Promises P1, S1: a panic of a handler that takes a context costs that call, or its node the stream.
func TestContext_PanicsAreContained(t *testing.T) {
	inWorld(t, func(w *world) {
		var ctxs []context.Context

		o, a := w.start("o:1", echo), w.start("a:1", contextual{
			process: func(context.Context, mino.Request) (serde.Message, error) { panic("at the disco") },
			stream: func(ctx context.Context, _ mino.Sender, _ mino.Receiver) error {
				ctxs = append(ctxs, ctx)

				panic("at the disco")
			},
		})

		_, err := a.test.Process(w.Context(), o.me, []byte("hello"))
		require.Equal(w, status.Error(codes.Internal, "panic: at the disco"), err)

		_, in, err := o.test.Stream(w.Context(), players(a))
		require.NoError(w, err)
		_, _, err = in.Recv(w.Context())
		require.ErrorContains(w, err, "panic: at the disco")
		synctest.Wait()
		require.ErrorIs(w, context.Cause(ctxs[0]), contain.ErrPanic)
	})
}

// Promise P1: the context of a call is that of the caller, knows who calls, and ends when a stop of the node
// does not wait any longer.
func TestContext_OfACall(t *testing.T) {
	inWorld(t, func(w *world) {
		causes := make(chan error, 1)
		a := w.node("a:1", contextual{process: func(ctx context.Context, _ mino.Request) (serde.Message, error) {
			info, ok := mino.InfoOf(ctx)
			require.True(w, ok)
			require.Equal(w, mino.Info{
				Procedure: "test", Orchestrator: session.NewAddress("grpc://b:1"),
				Address: session.NewAddress("grpc://a:1"),
			}, info)

			<-ctx.Done()
			causes <- context.Cause(ctx)

			return nil, nil
		}})
		b := session.NewOrchestratorAddress(session.NewAddress("grpc://b:1"))
		errGone := errors.New("the caller has gone")

		ctx, cancel := context.WithCancelCause(w.Context())
		time.AfterFunc(time.Second, func() { cancel(errGone) })

		_, err := a.test.Process(ctx, b, nil)
		require.NoError(w, err)
		require.Equal(w, errGone, <-causes)

		go func() { _, _ = a.test.Process(w.Context(), b, nil) }()

		synctest.Wait()

		began := time.Now()
		require.NoError(w, a.stop())
		require.Equal(w, 2*time.Second, time.Since(began), "a stop gives the call its time")
		require.Equal(w, host.ErrStopped, <-causes)
	})
}
