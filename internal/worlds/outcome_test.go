package worlds_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// acking returns a peer that answers every packet in the same way.
func acking(ack *ptypes.Ack) *sessiontest.Peer {
	return &sessiontest.Peer{OnForward: func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
		return ack, nil
	}}
}

// Promise O1: a destination has one outcome; here it is delivered.
func TestSend_DeliveredClosesTheChannelWithoutAnError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		peer := &sessiontest.Peer{}
		w.peer("b", peer)
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
		require.Len(t, peer.Forwards(), 1)
	})
}

// Promise O1: a destination that is named twice counts once.
func TestSend_DestinationNamedTwiceCountsOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		to := addr("b")
		_, err := sess.RecvPacket(to, w.packet(to, addr("a")))
		require.NoError(t, err)

		// An address that Recv returns is another value, for the same destination.
		sender, _ := w.recv(sess)
		require.NotEqual(t, mino.Address(to), sender)

		// Nobody listens at b.
		errs := w.outcomes(sess.Send(fake.Message("hello"), to, addr("a"), to, sender))
		require.Len(t, errs, 1)

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		_, _, err = sess.Recv(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Promise O1: the channel is closed by the deadline, and never blocks a sender that does not
// read it.
func TestSend_SilentPeerTimesOutByTheDeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			<-ctx.Done()

			return nil, ctx.Err()
		}})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithOutcomeTimeout(7*time.Second))

		start := time.Now()

		unread := make([]<-chan error, 0, 1000)
		for range 1000 {
			unread = append(unread, sess.Send(fake.Message("hello"), addr("b")))
		}

		require.Zero(t, time.Since(start))

		for _, errs := range unread {
			require.Equal(t, session.ReasonTimeout, w.outcomes(errs)[0].Reason)
		}

		require.Equal(t, 7*time.Second, time.Since(start))
	})
}

// Promise O2: a DeliveryError gives the destination, the reason, the hop and the cause.
func TestSend_ErrorNamesDestinationReasonHopAndCause(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Len(t, errs, 1)
		require.Equal(t, addr("b"), errs[0].Destination)
		require.Equal(t, session.ReasonUnreachable, errs[0].Reason)
		require.Equal(t, addr("a"), errs[0].Hop)
		require.ErrorContains(t, errs[0].Cause, "refused")
		require.True(t, strings.HasPrefix(errs[0].Error(), "no route to grpc://b:1: "), errs[0].Error())
	})
}

// Promise O2: the typed outcomes of our own Acks cross a node unchanged.
func TestRecvPacket_AckHasTypedFailuresAndTexts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", acking(&ptypes.Ack{Failures: []*ptypes.Failure{{
			Destination: []byte("FAb:1"),
			Reason:      ptypes.Reason_REASON_OVERFLOW,
			Hop:         []byte("FAb:1"),
			Cause:       "too much",
		}}}))
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addrs("b", "c")...))

		ack, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addrs("a", "b", "c")...))
		require.NoError(t, err)
		require.Len(t, ack.GetErrors(), 2)
		require.Len(t, ack.GetFailures(), 2)
		require.Contains(t, ack.GetErrors(), "grpc://b:1 dropped the packet: too much")

		for _, f := range ack.GetFailures() {
			if string(f.GetDestination()) == "FAb:1" {
				require.Equal(t, ptypes.Reason_REASON_OVERFLOW, f.GetReason())
				require.Equal(t, "FAb:1", string(f.GetHop()))
				require.Equal(t, "too much", f.GetCause())
			} else {
				require.Equal(t, ptypes.Reason_REASON_UNREACHABLE, f.GetReason())
				require.Equal(t, "FAa:1", string(f.GetHop()))
			}
		}
	})
}

// Promise O2: a session matches the texts of an existing node to the destinations. A text that
// matches none goes to all destinations that nothing else settles.
// Promise O7: such a text is no refusal that this node could know of, but the cause of a timeout.
// Promise O3: nothing in an Ack can block the session or make it grow.
func TestSend_TextsOfAnAckAreMatchedToDestinations(t *testing.T) {
	const (
		b = "grpc://b:1"
		c = "grpc://c:1"

		gone   = "no route to grpc://c:1: gone"
		full   = "grpc://b:1 dropped the packet: queue is at maximum capacity"
		closed = "session grpc://b:1 is closing: Canceled"
		ended  = "session grpc://c:1 is closing: Canceled"
		prefix = "no route to grpc://c: gone"
	)

	strangers := make([]string, 1000)
	for i := range strangers {
		strangers[i] = fmt.Sprintf("no route to grpc://stranger%d:1: gone", i)
	}

	last := strangers[len(strangers)-1]

	// The causes of the outcomes, by the destination.
	type want = map[string]string

	for name, test := range map[string]struct {
		errors []string
		want   want
	}{
		"none":                   {nil, want{}},
		"no route":               {[]string{gone}, want{c: gone}},
		"wrapped":                {[]string{"relay: " + gone}, want{c: "relay: " + gone}},
		"dropped":                {[]string{full}, want{b: full}},
		"closing, a destination": {[]string{ended}, want{c: ended}},
		"closing, the reporter":  {[]string{closed}, want{b: closed, c: closed}},

		"same one a thousand times": {slices.Repeat([]string{gone}, 1000), want{c: gone}},
		"a prefix of it":            {[]string{prefix}, want{b: prefix, c: prefix}},
		"a thousand strangers":      {strangers, want{b: last, c: last}},
		"one and a stranger":        {[]string{strangers[0], gone}, want{b: strangers[0], c: gone}},
		"garbage":                   {[]string{"oops"}, want{b: "oops", c: "oops"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.peer("b", acking(&ptypes.Ack{Errors: test.errors}))
				table := chain{gateway: addr("b"), Table: w.table(1, addr("a"), addrs("b", "c")...)}
				sess, _ := w.root(addr("a"), table)

				causes := want{}

				for _, failure := range w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...)) {
					require.Equal(t, session.ReasonTimeout, failure.Reason)
					require.Equal(t, addr("b"), failure.Hop)
					causes[failure.Destination.String()] = failure.Cause.Error()
				}

				require.Equal(t, test.want, causes)
			})
		})
	}
}

// chain is a table that sends everything through one gateway.
type chain struct {
	Table

	gateway mino.Address
}

// Table makes it possible to embed a table.
type Table = router.RoutingTable

func (c chain) Forward(packet router.Packet) (router.Routes, router.Voids) {
	return router.Routes{c.gateway: packet}, nil
}

// Promise O3: typed failures that name one destination a thousand times, or name strangers,
// settle each destination once.
func TestSend_FaultyFailuresOfAnAckSettleEachDestinationOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ack := &ptypes.Ack{}
		for i := range 1000 {
			ack.Failures = append(ack.Failures,
				&ptypes.Failure{Destination: []byte("FAc:1"), Reason: 99},
				&ptypes.Failure{Destination: fmt.Appendf(nil, "FAstranger%d:1", i), Reason: 1})
		}

		w.peer("b", acking(ack))
		sess, _ := w.root(addr("a"), chain{gateway: addr("b"), Table: w.table(1, addr("a"), addrs("b", "c")...)})

		errs := w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...))
		require.Len(t, errs, 2)
		require.Equal(t, session.ReasonTimeout, errs[0].Reason)
		require.Equal(t, session.ReasonTimeout, errs[1].Reason)
	})
}

// Promise O4: arguments that make no sense give an error on the channel. Without a destination
// there is no outcome, and the channel is closed at once.
func TestSend_BadArgumentsAreErrorsOnTheChannel(t *testing.T) {
	type want = []session.Reason

	rejected, noRoute := session.ReasonRejected, session.ReasonNoRoute
	good := mino.Address(addr("b"))

	for name, test := range map[string]struct {
		msg  fake.Message
		bad  bool
		nil  bool
		to   []mino.Address
		want want
	}{
		"nil message":           {nil: true, to: []mino.Address{good}, want: want{rejected}},
		"message that fails":    {bad: true, to: []mino.Address{good}, want: want{rejected}},
		"no address":            {to: nil, want: want{}},
		"nil address":           {to: []mino.Address{nil}, want: want{noRoute}},
		"nil address twice":     {to: []mino.Address{nil, nil}, want: want{noRoute}},
		"empty address":         {to: []mino.Address{session.NewAddress("")}, want: want{noRoute}},
		"zero address":          {to: []mino.Address{session.Address{}}, want: want{noRoute}},
		"nil pointer":           {to: []mino.Address{(*pointer)(nil)}, want: want{noRoute}},
		"nil message, nobody":   {nil: true, to: nil, want: want{}},
		"nil and empty address": {to: []mino.Address{nil, session.NewAddress("")}, want: want{noRoute, noRoute}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

				var errs <-chan error

				switch {
				case test.nil:
					errs = sess.Send(nil, test.to...)
				case test.bad:
					errs = sess.Send(fake.BadMessage{}, test.to...)
				default:
					errs = sess.Send(test.msg, test.to...)
				}

				got := make(want, 0, len(test.want))
				for _, err := range w.outcomes(errs) {
					require.NotEmpty(t, err.Error())
					got = append(got, err.Reason)
				}

				require.Equal(t, test.want, got)
			})
		})
	}
}

// pointer is an address that panics when it is nil.
type pointer struct{ session.Address }

// Promise O5: Send does not change the caller's slice, and does not read it after it has
// returned.
func TestSend_SliceOfTheCallerIsItsOwn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		peer := &sessiontest.Peer{}
		w.peer("b", peer)
		w.peer("c", peer)

		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addrs("b", "c")...))
		shared := addrs("b", "c", "a")

		sends := make([]<-chan error, 0, 200)

		for range 100 {
			first := make(chan (<-chan error))

			// Two sends use the same slice at once: the race detector watches.
			go func() { first <- sess.Send(fake.Message("one"), shared...) }()

			second := sess.Send(fake.Message("two"), shared...)
			sends = append(sends, <-first, second)
		}

		require.Equal(t, addrs("b", "c", "a"), shared)

		for i := range shared {
			shared[i] = nil
		}

		for _, errs := range sends {
			require.Empty(t, w.outcomes(errs))
		}

		require.Len(t, peer.Forwards(), 400)
	})
}

// Promise O6: a quick outcome does not wait for a slow one.
func TestSend_OutcomesAreReportedAsTheyAreKnown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			<-ctx.Done()

			return nil, ctx.Err()
		}})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		start := time.Now()
		errs := sess.Send(fake.Message("hello"), addr("b"), addr("stranger"))

		var first *session.DeliveryError
		require.ErrorAs(t, <-errs, &first)
		require.Equal(t, addr("stranger"), first.Destination)
		require.Equal(t, session.ReasonNoRoute, first.Reason)
		require.Zero(t, time.Since(start))

		require.Equal(t, session.ReasonTimeout, w.outcomes(errs)[0].Reason)
	})
}

// Promise O1: a node without neighbours still receives its messages to itself, in the order of
// the sends.
func TestSend_ToItselfIsQueued(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		for i := range 10 {
			require.Empty(t, w.outcomes(sess.Send(fake.Message(strconv.Itoa(i)), addr("a"))))
		}

		for i := range 10 {
			from, msg := w.recv(sess)
			require.Equal(t, fake.Message(strconv.Itoa(i)), msg)
			require.True(t, from.Equal(addr("a")))
		}
	})
}

// Promise O1: Send reports a full queue, and the sender may try again.
func TestSend_FullQueueOverflows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")), session.WithQueueLimits(2, 1000))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("1"), addr("a"))))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("2"), addr("a"))))

		errs := w.outcomes(sess.Send(fake.Message("3"), addr("a")))
		require.Equal(t, session.ReasonOverflow, errs[0].Reason)
		require.ErrorIs(t, errs[0], session.ErrQueueFull)

		w.recv(sess)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("3"), addr("a"))))
	})
}

// A session without a parent has no table, and says so.
func TestSend_WithoutParentsIsNoRoute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))

		errs := w.outcomes(sess.Send(fake.Message("hello"), addrs("a", "b")...))
		require.Len(t, errs, 2)
		require.Equal(t, session.ReasonNoRoute, errs[0].Reason)
		require.EqualError(t, errs[0], "no route to grpc://a:1: packet ignored")

		_, err := sess.RecvPacket(addr("b"), w.packet(addr("b"), addr("a")))
		require.EqualError(t, err, "packet is dropped (tried 0 parent-s)")
	})
}

// A neighbour gets an error for a packet that cannot be decoded.
func TestRecvPacket_MalformedIsAnError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		for _, p := range []*ptypes.Packet{nil, {}, {Serialized: []byte("null")}, {Serialized: []byte("{")}} {
			_, err := sess.RecvPacket(addr("b"), p)
			require.ErrorContains(t, err, "packet malformed: ")
			require.Equal(t, codes.InvalidArgument, status.Code(err))
			require.Equal(t, err.Error(), status.Convert(err).Message())
		}

		_, err := sess.RecvPacket(nil, w.packet(addr("b"), addr("a")))
		require.ErrorContains(t, err, "packet malformed: gateway")
	})
}

// Promise L6: a message that cannot be decoded is an error of that message alone, and the
// observer sees it.
func TestRecv_BadMessageIsAnErrorOfThatMessageAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var seen []*session.MessageError

		sess, _ := w.root(addr("a"), w.table(1, addr("a")), session.WithObserver(session.Observer{
			MessageRejected: func(_ session.StreamInfo, err *session.MessageError) { seen = append(seen, err) },
		}))

		for _, msg := range []fake.Message{fake.Bad, fake.Bad, "good"} {
			require.Empty(t, w.outcomes(sess.Send(msg, addr("a"))))
		}

		for range 2 {
			from, msg, err := sess.Recv(t.Context())
			require.Nil(t, msg)
			require.True(t, from.Equal(addr("a")))

			var failure *session.MessageError
			require.ErrorAs(t, err, &failure)
			require.ErrorContains(t, err, "message: ")
		}

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("good"), msg)
		require.Len(t, seen, 2)
		require.ErrorIs(t, seen[0], fake.ErrMessage)
	})
}

// An existing node puts the words of the wire around an error, and so does each of our nodes
// that passes the error on. The words appear once all the same.
func TestDeliveryError_SaysOnceWhatOtherNodesHaveSaid(t *testing.T) {
	const (
		gateway = "no route to grpc://d:1: gone"
		dropped = "grpc://c:1 dropped the packet: "
	)

	for text, want := range map[string]string{
		"no route to grpc://c:1: gone":                         "no route to grpc://c:1: gone",
		"no route to grpc://c:1: no route to grpc://c:1: gone": "no route to grpc://c:1: gone",
		"relay: no route to grpc://c:1: gone":                  "no route to grpc://c:1: relay: gone",
		"grpc://c:1 dropped the packet: full":                  "grpc://c:1 dropped the packet: full",
		"session grpc://c:1 is closing: Canceled":              "session grpc://c:1 is closing: Canceled",
		gateway:           dropped + gateway,
		dropped + gateway: dropped + gateway,
	} {
		t.Run(text, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.peer("c", acking(&ptypes.Ack{Errors: []string{text}}))
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("c")))

				// The next node gets this answer, be it one of ours or not.
				ack, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addr("c")))
				require.NoError(t, err)
				require.Equal(t, []string{want}, ack.GetErrors())

				w.peer("b", acking(ack))
				w.peer("d", acking(&ptypes.Ack{Errors: ack.GetErrors()}))

				for _, via := range addrs("b", "d") {
					table := chain{gateway: via, Table: w.table(1, addr("e"), addrs("b", "c", "d")...)}
					next, _ := w.root(addr("e"), table)

					errs := w.outcomes(next.Send(fake.Message("hello"), addr("c")))
					require.Len(t, errs, 1)
					require.EqualError(t, errs[0], want)
				}
			})
		})
	}
}

// A routing table may use the same words for what has no route.
func TestDeliveryError_SaysOnceWhatATableHasSaid(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), void{w.table(1, addr("a"), addr("b"))})

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Len(t, errs, 1)
		require.EqualError(t, errs[0], "no route to grpc://b:1: nobody knows it")
	})
}

// void is a table that has no route for anything.
type void struct{ Table }

func (void) Forward(packet router.Packet) (router.Routes, router.Voids) {
	voids := router.Voids{}
	for _, dest := range packet.GetDestination() {
		voids[dest] = router.Void{Error: fmt.Errorf("no route to %v: nobody knows it", dest)}
	}

	return nil, voids
}
