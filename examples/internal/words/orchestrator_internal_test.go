package words

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	alice = session.NewAddress("alice:1")
	bob   = session.NewAddress("bob:1")
)

// stream is both halves of a stream whose players do what the test says.
type stream struct {
	// play is called with each request. It returns the outcomes.
	play func(s *stream, req *request) <-chan error

	replies chan reception
}

func newStream(play func(s *stream, req *request) <-chan error) *stream {
	return &stream{play: play, replies: make(chan reception, 10)}
}

// Send implements mino.Sender.
func (s *stream) Send(msg serde.Message, _ ...mino.Address) <-chan error {
	return s.play(s, msg.(message).Request)
}

// Recv implements mino.Receiver.
func (s *stream) Recv(ctx context.Context) (mino.Address, serde.Message, error) {
	select {
	case r := <-s.replies:
		return r.from, message{Reply: r.reply}, r.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// answer lets a player reply.
func (s *stream) answer(player mino.Address, req *request) {
	text, _ := player.MarshalText()
	s.replies <- reception{from: player, reply: Worker{me: string(text), count: Count}.answer(req)}
}

// outcomes returns a channel that is closed after those.
func outcomes(failures ...error) <-chan error {
	all := make(chan error, len(failures))
	for _, err := range failures {
		all <- err
	}

	close(all)

	return all
}

// watched counts what an orchestrator tells.
type watched struct {
	asked []int // the number of files, by request
	lost  []Lost

	// slow gets the players that are waited for. Without it nobody is told.
	slow chan []mino.Address
}

func (w *watched) Waiting(players []mino.Address) {
	if w.slow != nil {
		w.slow <- players
	}
}

func (w *watched) Asking(_ []mino.Address, files int)         { w.asked = append(w.asked, files) }
func (w *watched) Counted(mino.Address, Reply, int, int, int) {}
func (w *watched) Outcomes(lost Lost)                         { w.lost = append(w.lost, lost) }
func timedOut(player mino.Address) *session.DeliveryError {
	return &session.DeliveryError{Destination: player, Reason: session.ReasonTimeout, Cause: errors.New("silent")}
}

// orchestrator returns one for a folder of three files with six words.
func orchestrator(t *testing.T, s *stream) (*Orchestrator, *watched) {
	t.Helper()

	dir := t.TempDir()
	files := []string{"a", "b", "c"}

	for i, text := range []string{"one", "one two", "one two three"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, files[i]), []byte(text), 0o600))
	}

	w := new(watched)

	return &Orchestrator{Dir: dir, Files: files, Out: s, In: s, Watcher: w}, w
}

// After a second without a reply the watcher is told who is waited for.
func TestOrchestrator_NamesTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan []mino.Address)
		s := newStream(func(s *stream, req *request) <-chan error {
			s.answer(alice, req)

			go func() {
				start := time.Now()

				assert.Equal(t, []mino.Address{bob}, <-slow)
				assert.Equal(t, time.Second, time.Since(start))
				s.answer(bob, req)
			}()

			return outcomes()
		})
		o, w := orchestrator(t, s)
		w.slow = slow

		sum, err := o.Count(t.Context(), []mino.Address{alice, bob})
		require.NoError(t, err)
		require.Equal(t, 6, sum)
	})
}

func TestOrchestrator_SilentOutcomesHoldUpNoReply(t *testing.T) {
	o, _ := orchestrator(t, newStream(func(s *stream, req *request) <-chan error {
		s.answer(alice, req)
		s.answer(bob, req)

		return make(chan error)
	}))

	sum, err := o.Count(t.Context(), []mino.Address{alice, bob})
	require.NoError(t, err)
	require.Equal(t, 6, sum)
}

func TestOrchestrator_OthersTakeOverTheShareOfTheLost(t *testing.T) {
	o, w := orchestrator(t, newStream(func(s *stream, req *request) <-chan error {
		s.answer(alice, req)

		if len(req.Players) == 1 {
			return outcomes()
		}

		return outcomes(timedOut(bob))
	}))

	sum, err := o.Count(t.Context(), []mino.Address{alice, bob})
	require.NoError(t, err)
	require.Equal(t, 6, sum)
	require.Equal(t, []int{3, 1}, w.asked)
	require.Equal(t, []Lost{{bob: timedOut(bob)}, {}}, w.lost)
}

// Who has been given up may reply nevertheless: others count the same files by then.
func TestOrchestrator_CountsNoFileTwice(t *testing.T) {
	o, w := orchestrator(t, newStream(func(s *stream, req *request) <-chan error {
		if len(req.Players) == 1 {
			s.answer(alice, req)

			return outcomes()
		}

		lost := make(chan error)

		go func() {
			lost <- timedOut(bob)

			s.answer(bob, req)
			s.answer(alice, req)
			close(lost)
		}()

		return lost
	}))

	sum, err := o.Count(t.Context(), []mino.Address{alice, bob})
	require.NoError(t, err)
	require.Equal(t, 6, sum)
	require.Equal(t, []Lost{{bob: timedOut(bob)}, {}}, w.lost)
}

func TestOrchestrator_NobodyIsAnError(t *testing.T) {
	o, _ := orchestrator(t, newStream(func(*stream, *request) <-chan error {
		return outcomes(timedOut(alice), timedOut(bob))
	}))

	_, err := o.Count(t.Context(), []mino.Address{alice, bob})
	require.ErrorContains(t, err, "nobody was reached")
	require.ErrorContains(t, err, "silent")
}

func TestOrchestrator_EndOfTheStreamIsAnError(t *testing.T) {
	lost := errors.New("the root is lost")

	o, _ := orchestrator(t, newStream(func(s *stream, req *request) <-chan error {
		s.answer(alice, req)
		s.replies <- reception{err: lost}

		return outcomes()
	}))

	_, err := o.Count(t.Context(), []mino.Address{alice, bob})
	require.ErrorIs(t, err, lost)
	require.ErrorContains(t, err, "wait for 1 of 2 players")
}

// A reply that nobody can read ends that count, and not the next one.
func TestOrchestrator_UnreadableReplyEndsOneCount(t *testing.T) {
	bad := true
	o, _ := orchestrator(t, newStream(func(s *stream, req *request) <-chan error {
		if bad {
			bad = false
			s.replies <- reception{from: alice, err: &session.MessageError{From: alice, Cause: errors.New("garbage")}}
		} else {
			s.answer(alice, req)
		}

		return outcomes()
	}))

	_, err := o.Count(t.Context(), []mino.Address{alice})
	require.ErrorContains(t, err, "reply of "+alice.String()+": message: garbage")

	sum, err := o.Count(t.Context(), []mino.Address{alice})
	require.NoError(t, err)
	require.Equal(t, 6, sum)
}

// received is a Receiver of a list, and then of the end of the stream.
type received []reception

// Recv implements mino.Receiver.
func (r *received) Recv(context.Context) (mino.Address, serde.Message, error) {
	if len(*r) == 0 {
		return nil, nil, io.EOF
	}

	next := (*r)[0]
	*r = (*r)[1:]

	return next.from, message{Request: &request{Round: 7}}, next.err
}

// sent is a Sender that counts.
type sent int

// Send implements mino.Sender.
func (s *sent) Send(serde.Message, ...mino.Address) <-chan error {
	*s++

	return outcomes()
}

func TestWorker_GoesOnAfterAMessageThatItCannotRead(t *testing.T) {
	in := &received{{from: bob, err: &session.MessageError{From: bob, Cause: errors.New("garbage")}}, {from: alice}}

	var out sent

	require.NoError(t, Worker{me: "a", count: Count}.Stream(&out, in))
	require.Equal(t, sent(1), out)
}

func TestOrchestrator_EndOfTheContextIsAnError(t *testing.T) {
	over := errors.New("over")

	ctx, cancel := context.WithCancelCause(t.Context())

	o, _ := orchestrator(t, newStream(func(*stream, *request) <-chan error {
		cancel(over)

		return outcomes()
	}))

	_, err := o.Count(ctx, []mino.Address{alice, bob})
	require.ErrorIs(t, err, over)
}
