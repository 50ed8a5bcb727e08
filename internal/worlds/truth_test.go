package worlds_test

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Promise O7: a call that has failed is in doubt, unless the neighbour says that it has not taken the
// packet. ResourceExhausted says so, too, but for an answer that is too large to be read.
func TestTruth_FailedCallIsInDoubtUnlessRefused(t *testing.T) {
	refused := metadata.Pairs(session.LinkKey, session.LinkRefused)

	cases := map[string]struct {
		answer func(ctx context.Context) (*ptypes.Ack, error)
		want   session.Reason
	}{
		"lost": {func(context.Context) (*ptypes.Ack, error) {
			return nil, status.Error(codes.Unavailable, "by the test")
		}, session.ReasonTimeout},
		"refused": {func(ctx context.Context) (*ptypes.Ack, error) {
			_ = grpc.SetTrailer(ctx, refused)

			return nil, status.Error(codes.Unavailable, "by the test")
		}, session.ReasonUnreachable},
		"full": {func(context.Context) (*ptypes.Ack, error) {
			return nil, status.Error(codes.ResourceExhausted, "by the test")
		}, session.ReasonOverflow},
		"large answer": {func(context.Context) (*ptypes.Ack, error) {
			return &ptypes.Ack{Errors: []string{strings.Repeat("x", 5<<20)}}, nil
		}, session.ReasonTimeout},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				answer := func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) { return tc.answer(ctx) }
				w.peer("b", &sessiontest.Peer{OnForward: answer})
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

				errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
				require.Equal(t, map[string]session.Reason{"grpc://b:1": tc.want}, reasons(errs))
			})
		})
	}
}

// Promise O7: a session tells the caller whether it has taken a packet that it does not answer for.
func TestTruth_ClosingSessionSaysWhatItHasNotTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		taken := make(chan error, 1)

		go func() {
			_, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addr("b")))
			taken <- err
		}()

		synctest.Wait()
		sess.Close()

		err := <-taken
		require.ErrorIs(t, err, session.ErrClosed)
		require.NotErrorIs(t, err, session.ErrNotTaken)

		_, err = sess.RecvPacket(addr("z"), w.packet(addr("z"), addr("b")))
		require.ErrorIs(t, err, session.ErrClosed)
		require.ErrorIs(t, err, session.ErrNotTaken)
	})
}

// Promise O7: what the table refuses after a loss may have arrived with the copy that was lost.
func TestTruth_RefusalOfTheTableAfterALossIsATimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, parent, child := w.between()
		id := parent.send(1, addr("b")).GetId()

		synctest.Wait()
		require.Len(t, child.received(), 1)

		child.refuse = func(context.Context) error { return errLost }
		child.lose()
		time.Sleep(session.DefaultResumeTimeout + time.Second)

		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_TIMEOUT}, parent.verdicts()[id].failed)

		// The loss is known now. What is sent from here on is not handed over.
		id = parent.send(2, addr("b")).GetId()
		time.Sleep(time.Second)

		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_UNREACHABLE},
			parent.verdicts()[id].failed)
	})
}

// Promise O7: the first pieces of a large message are no copy of it.
func TestTruth_PiecesAreNoCopy(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()
		second.block()

		errs := sess.Send(fake.Message(strings.Repeat("x", 2<<20)), addr("z"))

		synctest.Wait()
		require.Empty(t, second.received())
		require.Len(t, second.got, 1, "the first piece has left")
		second.lose()
		second.unblock()
		synctest.Wait()

		parcels := first.received()
		require.Len(t, parcels, 1)
		first.feed(receipts(&ptypes.Receipt{
			ParcelId: parcels[0].GetId(), Failures: failures("z", ptypes.Reason_REASON_OVERFLOW, "full"), Last: true,
		}))
		require.Equal(t, map[string]session.Reason{"grpc://z:1": session.ReasonOverflow}, reasons(w.outcomes(errs)))
	})
}

// Promise O7: an Ack fits the caller, however many destinations have failed.
func TestTruth_AckForManyDestinationsIsBounded(t *testing.T) {
	const (
		many = 20_000
		// limit is what a client of gRPC reads unless it is told otherwise.
		limit = 4 << 20
	)

	inWorld(t, func(t *testing.T, w *world) {
		to := make([]mino.Address, 0, many+1)
		ack := &ptypes.Ack{}

		for i := range many {
			dest := addr("destination" + strconv.Itoa(i))
			text, err := dest.MarshalText()
			require.NoError(t, err)

			to = append(to, dest)
			ack.Failures = append(ack.Failures, &ptypes.Failure{
				Destination: text, Reason: ptypes.Reason_REASON_OVERFLOW, Cause: strings.Repeat("x", 100),
			})
		}

		w.net.Close() // Nobody is there.
		sess := w.session(addr("a"))
		table := chain{gateway: addr("b"), Table: w.table(1, addr("a"), addr("b"))}
		parent := fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil)
		w.listen(sess, parent, table)

		p := w.identified(1, time.Minute, to...)
		all, err := sess.RecvPacket(addr("z"), p)
		require.NoError(t, err)
		require.Len(t, all.GetFailures(), 1)
		require.Empty(t, all.GetFailures()[0].GetDestination())
		require.Less(t, proto.Size(all), 4096)

		// With one that is reached, each of the others is named.
		some, err := sess.RecvPacket(addr("z"), w.identified(2, time.Minute, append(to, addr("a"))...))
		require.NoError(t, err)
		require.Len(t, some.GetFailures(), many)
		require.Less(t, proto.Size(some), limit)
		require.False(t, slices.ContainsFunc(some.GetFailures(), func(f *ptypes.Failure) bool {
			return bytes.Equal(f.GetDestination(), []byte("FAa:1"))
		}))
	})
}
