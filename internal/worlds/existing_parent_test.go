package worlds_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// connected is a relay to an existing parent. Its stream knows its connection.
type connected struct {
	*fake.Relay

	alive bool
}

func (c connected) Stream() session.PacketStream {
	return connectedStream{c.Relay.Stream(), c.alive}
}

type connectedStream struct {
	session.PacketStream

	alive bool
}

func (s connectedStream) Connected() bool { return s.alive }

var (
	errCanceled    = status.Error(codes.Canceled, "context canceled")
	errUnavailable = status.Error(codes.Unavailable, "the connection is gone")
)

// Promise L9: a session waits a second for a parent that never promised a goodbye, if the
// parent may have been lost. It does not wait if the parent ended the stream itself.
func TestExistingParent_IsWaitedForASecond(t *testing.T) {
	parent, orchestrator := mino.Address(addr("p")), session.NewOrchestratorAddress(addr("o"))

	for name, test := range map[string]struct {
		parent mino.Address
		end    error
		alive  bool
		known  bool
		wait   time.Duration
		clean  bool
	}{
		"goodbye": {parent: parent, end: io.EOF, clean: true},
		"cancel":  {parent: parent, end: errCanceled, known: true, alive: true, clean: true},
		"lost with its connection": {
			parent: parent, end: errCanceled, known: true, wait: time.Second, clean: true,
		},
		"cancel or loss": {parent: parent, end: errCanceled, wait: time.Second, clean: true},
		"any other error": {
			parent: parent, end: errUnavailable, known: true, alive: true, wait: time.Second,
		},
		"cancel of the orchestrator":      {parent: orchestrator, end: errCanceled, clean: true},
		"any other, of the orchestrator":  {parent: orchestrator, end: errUnavailable},
		"an error that is none of a call": {parent: parent, end: errLost, wait: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"))
				relay := fake.NewRelay(test.parent, nil)
				listened := make(chan struct{})

				var given session.Relay = relay
				if test.known {
					given = connected{relay, test.alive}
				}

				go func() {
					defer close(listened)

					sess.Listen(given, w.table(1, addr("a")), nil)
				}()

				synctest.Wait()

				start := time.Now()
				relay.End(test.end)

				_, _, err := sess.Recv(t.Context())
				require.Equal(t, test.wait, time.Since(start))
				require.Equal(t, test.clean, err == io.EOF, err) //nolint:errorlint // Nothing else is a clean end.

				<-listened
			})
		})
	}
}

// Promise L9: a session that is adopted within that second goes on. What it sent meanwhile goes
// to the new parent, and so do the packets that the lost one refused before its stream ended.
// Promise R2: an interior node that is lost at any time costs only itself.
func TestExistingParent_AdoptedSessionGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		adopter := &sessiontest.Peer{}
		w.peer("p1", adopter)

		sess := w.session(addr("a"))
		lost := fake.NewRelay(addr("p0"), unavailable)
		w.listen(sess, lost, w.table(1, addr("a")))

		before := sess.Send(fake.Message("before"), addr("z"))

		synctest.Wait()
		lost.End(errCanceled)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())

		during := sess.Send(fake.Message("during"), addr("z"))

		time.Sleep(999 * time.Millisecond) // Virtual time.
		w.guardian(sess, "p1")

		require.Empty(t, w.outcomes(before))
		require.Empty(t, w.outcomes(during))
		require.Len(t, adopter.Forwards(), 2)

		time.Sleep(time.Minute)
		require.Equal(t, 1, sess.GetNumParents())
		require.Empty(t, w.outcomes(sess.Send(fake.Message("after"), addr("a"))))
		w.recv(sess)
	})
}

// Promise L9: an orchestrator does not wait for a new parent, because nobody adopts it.
// Promise L7: its Recv returns at once, with the cause.
func TestExistingParent_NobodyAdoptsAnOrchestrator(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.above(&forwarding{})
		start := time.Now()

		stream.End(errUnavailable)

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, errUnavailable)
		require.Zero(t, time.Since(start))
	})
}
