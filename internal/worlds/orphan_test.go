package worlds_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// guardian registers a parent that has promised to say goodbye. It returns the parent's stream,
// which the test ends, and a channel that is closed when Listen returns.
func (w *world) guardian(sess session.Session, name string) (*fake.Stream, <-chan struct{}) {
	conn, err := grpc.NewClient("passthrough:///"+name+":1", grpc.WithContextDialer(w.net.Dialer("a:1")),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(w, err)

	stream := fake.NewStream(nil)
	relay := session.NewRelay(stream, addr(name), json.NewContext(), conn, nil, session.WithGoodbye())
	ready, returned := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(returned)

		sess.Listen(relay, w.table(1, addr("a")), ready)
	}()

	<-ready

	w.cleanup = append(w.cleanup, func() {
		stream.End(io.EOF)
		sess.Close()
		<-returned
		require.NoError(w, conn.Close())
	})

	return stream, returned
}

// Promise L5: a session waits for another parent when its last one is gone without a goodbye.
// What it sends meanwhile arrives, and its Recv does not end.
func TestOrphan_AdoptedSessionGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		adopter := &sessiontest.Peer{}
		w.peer("p1", adopter)

		sess := w.session(addr("a"))
		stream, returned := w.guardian(sess, "p0")

		stream.End(errLost)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())

		errs := sess.Send(fake.Message("hello"), addr("z"))

		time.Sleep(session.DefaultAdoptionGrace - time.Second) // Virtual time.
		w.guardian(sess, "p1")

		require.Empty(t, w.outcomes(errs))
		require.Len(t, adopter.Forwards(), 1)
		<-returned
		require.Equal(t, 1, sess.GetNumParents())

		time.Sleep(time.Minute)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("a", "z")...)))
		w.recv(sess)
	})
}

// Promise L5: a packet that a lost parent did not take before its stream ended waits as well,
// and goes to the adopter.
func TestOrphan_PacketThatFailsBeforeTheLossIsKnownWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		adopter := &sessiontest.Peer{}
		w.peer("p1", adopter)

		sess := w.session(addr("a"))
		stream, _ := w.guardian(sess, "p0") // Nobody listens there.

		errs := sess.Send(fake.Message("hello"), addr("z"))

		synctest.Wait()
		stream.End(errLost)
		synctest.Wait()
		w.guardian(sess, "p1")

		require.Empty(t, w.outcomes(errs))
		require.Len(t, adopter.Forwards(), 1)
	})
}

// Promise L3: a session tries a parent again for a while when calls fail and its stream goes
// on.
func TestOrphan_ParentThatTakesNothingIsTriedForAWhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		w.guardian(sess, "p0")

		start := time.Now()
		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("z")))
		require.Equal(t, session.ReasonTimeout, errs[0].Reason)
		require.Equal(t, 3*time.Second, time.Since(start))

		late := sess.Send(fake.Message("hello"), addr("z"))

		synctest.Wait()

		parent := &sessiontest.Peer{}
		w.peer("p0", parent)
		require.Empty(t, w.outcomes(late))
		require.Len(t, parent.Forwards(), 1)

		last := sess.Send(fake.Message("hello"), addr("z"))
		require.Empty(t, w.outcomes(last))
	})
}

// Promise L5: an orphan that nobody adopts ends after the grace period.
func TestOrphan_EndsAfterTheGracePeriod(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"), session.WithAdoptionGrace(3*time.Second))
		stream, returned := w.guardian(sess, "p0")

		start := time.Now()

		stream.End(errLost)
		synctest.Wait()

		errs := sess.Send(fake.Message("hello"), addr("z"))

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, errLost)
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Len(t, w.outcomes(errs), 1)
		<-returned
	})
}

// Promise L5: a session ends with the goodbye of its last parent. If the parent has not
// promised one, any end of its stream ends the session.
func TestOrphan_GoodbyeIsTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		stream, returned := w.guardian(sess, "p0")

		start := time.Now()

		stream.End(io.EOF)
		<-returned

		_, _, err := sess.Recv(t.Context())
		require.Equal(t, io.EOF, err)
		require.Zero(t, time.Since(start))
	})
}

// Promise R2: a node that leaves does not end the stream for its children. A node that closes
// does.
func TestLeave_SaysNoGoodbyeToTheChildren(t *testing.T) {
	root := session.NewOrchestratorAddress(addr("p"))

	for name, test := range map[string]struct {
		parent session.Address
		end    func(session.Lifecycle)
		want   codes.Code
	}{
		"leave":         {addr("p"), func(l session.Lifecycle) { l.Leave(nil) }, codes.Canceled},
		"close":         {addr("p"), func(l session.Lifecycle) { l.CloseWithError(errLost) }, codes.OK},
		"leave, a root": {root, func(l session.Lifecycle) { l.Leave(nil) }, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ends := make(chan error, 1)
				w.peer("b", &sessiontest.Peer{OnStream: func(stream ptypes.Overlay_StreamServer) error {
					_, err := stream.Recv()
					ends <- err

					return nil
				}})

				sess := w.session(addr("a"))
				w.listen(sess, fake.NewRelay(test.parent, nil), w.table(1, addr("a"), addr("b")))
				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))

				test.end(sess.(session.Lifecycle))

				err := <-ends
				if test.want == codes.OK {
					require.Equal(t, io.EOF, err)
				} else {
					require.Equal(t, test.want, status.Code(err))
				}
			})
		})
	}
}

// Promise R2: the children of a lost node are adopted at once, before anybody sends them a
// packet.
func TestChild_OrphansAreAdoptedWithoutAPacket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		players := addrs("b")
		leaves := make(map[string]*sessiontest.Peer)

		for i := range 11 {
			name := fmt.Sprintf("n%d", i)
			leaves[name] = &sessiontest.Peer{}
			players = append(players, addr(name))
			w.peer(name, leaves[name])
		}

		lose := make(chan struct{})
		w.peer("b", &sessiontest.Peer{OnStream: func(ptypes.Overlay_StreamServer) error {
			<-lose

			return errLost
		}})

		sess, _ := w.root(addr("a"), w.table(2, addr("a"), players...))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))

		close(lose)
		synctest.Wait()

		// The root has five children, and each has one or two nodes below. n0 was below b.
		adopted := 0

		for _, leaf := range leaves {
			adopted += len(leaf.Streams())
			require.Empty(t, leaf.Forwards())
		}

		require.Equal(t, 1, adopted)
		require.Len(t, leaves["n0"].Streams(), 1)
		require.Contains(t, leaves["n0"].Streams()[0].Get(session.LinkKey), session.LinkGoodbye)
	})
}
