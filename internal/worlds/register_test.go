package worlds_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// linkTo returns a relay for a stream of the link of a parent, by the epoch of the stream. The
// stream ends with the test.
func (w *world) linkTo(epoch int) *session.DuplexRelay {
	stream := fake.NewStream(nil)
	offer := fmt.Sprintf("duplex-1;id=00112233445566778899aabbccddeeff;frame=262144;received=0;epoch=%d", epoch)

	relay, ok := session.AcceptRelay(stream, addr("p"), metadata.Pairs(session.LinkKey, offer))
	require.True(w, ok)

	w.cleanup = append(w.cleanup, func() { stream.End(io.EOF) })

	return relay
}

// A stream may come while the first one of its link is being registered. It replaces that, and
// the first registration says so.
func TestRegister_NextStreamDuringTheFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var (
			sess   session.Session
			second *session.DuplexRelay
			again  bool
		)

		// The observer hears of the parent before Register returns.
		opened := func(session.StreamInfo, mino.Address) {
			if !again {
				again = true
				_, err := sess.(session.Registrar).Register(second, nil)
				require.NoError(t, err)
			}
		}
		sess = w.session(addr("a"), session.WithObserver(session.Observer{RelayOpened: opened}))

		second = w.linkTo(2)

		first, err := sess.(session.Registrar).Register(w.linkTo(1), w.table(1, addr("a")))
		require.NoError(t, err)
		require.ErrorIs(t, first.Wait(), session.ErrSuperseded)
		require.Equal(t, 1, sess.GetNumParents())
	})
}

// A duplex relay is registered once. Registering it again is an error, and changes nothing for the
// registration that there is; so it is with a relay that nobody has made.
func TestRegister_RelayOfNoUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, relay := w.session(addr("a")), w.linkTo(1)
		registrar := sess.(session.Registrar)

		registration, err := registrar.Register(relay, w.table(1, addr("a")))
		require.NoError(t, err)

		_, err = registrar.Register(relay, w.table(1, addr("a")))
		require.ErrorContains(t, err, "registered")

		for _, useless := range []*session.DuplexRelay{nil, {}} {
			_, err = registrar.Register(useless, w.table(1, addr("a")))
			require.Error(t, err)

			ready := make(chan struct{})
			sess.Listen(useless, w.table(1, addr("a")), ready)
			<-ready

			sess.SetPassive(useless, w.table(1, addr("a")))
		}

		require.Equal(t, 1, sess.GetNumParents())
		sess.Close()
		require.NoError(t, registration.Wait())
	})
}

// forgetful is an address whose text is there a number of times, and then is not.
type forgetful struct {
	session.Address

	left  *int
	panic bool
}

func (f forgetful) MarshalText() ([]byte, error) {
	*f.left--

	switch {
	case *f.left >= 0:
		return f.Address.MarshalText()
	case f.panic:
		panic("by the test")
	default:
		return nil, errors.New("forgotten")
	}
}

// Promise O1: every destination has an outcome, also one whose address has lost its text on the
// way through the session.
func TestSend_AddressLosesItsText(t *testing.T) {
	for times := range 10 {
		for _, panics := range []bool{false, true} {
			inWorld(t, func(t *testing.T, w *world) {
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))
				dest := forgetful{Address: addr("b"), left: &times, panic: panics}

				// The channel is closed, whatever the outcomes are.
				require.LessOrEqual(t, len(w.outcomes(sess.Send(fake.Message("hello"), dest))), 1)
			})
		}
	}
}
