package worlds_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// dialled returns a relay to a neighbour, which accepts a duplex link or not. The count says
// how often the stream was released.
func (w *world) dialled(duplex bool) (*neighbour, session.Relay, *int) {
	released := 0
	n := &neighbour{world: w, addr: addr("root")}

	open := func(ctx context.Context, offer metadata.MD) (session.OpenStream, error) {
		opened, err := n.accept(ctx, offer)
		release := opened.Release
		opened.Release = func() {
			released++

			release()
		}

		if !duplex {
			opened.Header, opened.Conn = metadata.MD{}, refusing{}
		}

		return opened, err
	}

	relay, err := session.DialRelay(w.Context(), n.addr, json.NewContext(), routerOf(3).GetPacketFactory(), open)
	require.NoError(w, err)

	return n, relay, &released
}

// listenUntil gives a relay to a session of an orchestrator, calls end, and waits until the
// session is over.
func (w *world) listenUntil(sess session.Session, relay session.Relay, end func()) {
	ready, over := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(over)

		sess.Listen(relay, w.table(3, session.NewOrchestratorAddress(addr("o"))), ready)
	}()

	<-ready
	end()
	<-over
	<-sess.(session.Lifecycle).Done()
}

// Promise L6: the session releases a stream that was opened for it exactly once, however the
// session ends, and also when it refuses the relay.
func TestDialRelay_StreamIsReleasedOnce(t *testing.T) {
	me := session.NewOrchestratorAddress(addr("o"))

	for name, play := range map[string]func(*world, session.Session, *neighbour, session.Relay){
		"closed": func(w *world, sess session.Session, _ *neighbour, relay session.Relay) {
			w.listenUntil(sess, relay, sess.Close)
		},
		"left": func(w *world, sess session.Session, _ *neighbour, relay session.Relay) {
			w.listenUntil(sess, relay, func() { sess.(session.Lifecycle).Leave(nil) })
		},
		"lost": func(w *world, sess session.Session, n *neighbour, relay session.Relay) {
			n.refuse = func(context.Context) error { return errors.New("by the test") }
			w.listenUntil(sess, relay, func() { n.current().End(errLost) })
		},
		"over": func(w *world, sess session.Session, n *neighbour, relay session.Relay) {
			n.refuse = func(context.Context) error { return errors.New("by the test") }
			w.listenUntil(sess, relay, func() { n.current().End(io.EOF) })
		},
		"refused": func(w *world, sess session.Session, _ *neighbour, relay session.Relay) {
			sess.Close()
			sess.Listen(relay, w.table(3, me), nil)
		},
		"without a table": func(_ *world, sess session.Session, _ *neighbour, relay session.Relay) {
			sess.Listen(relay, nil, nil)
		},
		"passive": func(w *world, sess session.Session, n *neighbour, relay session.Relay) {
			sess.SetPassive(relay, w.table(3, me))
			n.current().End(io.EOF)
			sess.Close()
			<-sess.(session.Lifecycle).Done()
		},
		"passive, refused": func(w *world, sess session.Session, _ *neighbour, relay session.Relay) {
			sess.Close()
			sess.SetPassive(relay, w.table(3, me))
		},
	} {
		for _, duplex := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					n, relay, released := w.dialled(duplex)

					play(w, w.session(me), n, relay)
					synctest.Wait()
					require.Equal(t, 1, *released)
				})
			})
		}
	}
}

// Promise L2: a relay outside of a session says at once that its link has ended.
func TestDuplexRelay_SendAfterTheEndIsRefusedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		packet := w.table(3, addr("o")).Make(addr("o"), []mino.Address{addr("b")}, []byte("hello"))

		sess.Close()
		<-sess.(session.Lifecycle).Done()

		start := time.Now()
		_, err := root.relay.Send(t.Context(), packet)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Zero(t, time.Since(start))
	})
}
