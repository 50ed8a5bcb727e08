package worlds_test

import (
	"context"
	"flag"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// stress is how long the tests of timers go on in real time.
var stress = flag.Duration("stress", 0, "how long the tests of timers go on in real time")

// suspicion is how long a session keeps a packet that its parent did not take.
const suspicion = time.Second

// refusing is a connection that fails every call.
type refusing struct{ grpc.ClientConnInterface }

func (refusing) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Unavailable, "refused by the test")
}

// ends are the ways in which a session may end.
var ends = map[string]func(session.Session, *fake.Stream){
	"close":       func(s session.Session, _ *fake.Stream) { s.Close() },
	"leave":       func(s session.Session, _ *fake.Stream) { s.(session.Lifecycle).Leave(nil) },
	"end":         func(_ session.Session, stream *fake.Stream) { stream.End(io.EOF) },
	"replacement": func(s session.Session, _ *fake.Stream) { s.SetPassive(fake.NewRelay(addr("p"), nil), leafTable()) },
	"break, close": func(s session.Session, stream *fake.Stream) {
		stream.End(errLost)
		s.Close()
	},
}

// leafTable returns the table of a node that knows only its parent.
func leafTable() router.RoutingTable {
	table, err := routerOf(1).New(mino.NewAddresses(), addr("a"))
	if err != nil {
		panic(err)
	}

	return table
}

// postponed is a session with a packet that its parent did not take. The packet waits until the
// suspicion ends.
type postponed struct {
	sess    session.Session
	stream  *fake.Stream
	outcome <-chan error
	// listened is closed when Listen returns.
	listened chan struct{}
}

func newPostponed() *postponed {
	p := &postponed{
		sess: session.NewSession(metadata.MD{}, addr("a"), fake.MessageFactory{}, routerOf(1).GetPacketFactory(),
			json.NewContext(), session.NewConnManager()),
		stream:   fake.NewStream(nil),
		listened: make(chan struct{}),
	}
	relay := session.NewRelay(p.stream, addr("p"), json.NewContext(), refusing{}, nil, session.WithGoodbye())
	ready := make(chan struct{})

	go func() {
		defer close(p.listened)

		p.sess.Listen(relay, leafTable(), ready)
	}()

	<-ready

	p.outcome = p.sess.Send(fake.Message("hello"), addr("z"))

	return p
}

// finish ends the session. It checks that the packet has at most one error, and waits until
// nothing is left.
func (p *postponed) finish(t *testing.T) {
	t.Helper()

	p.stream.End(io.EOF)
	p.sess.Close()
	<-p.listened
	<-p.sess.(session.Lifecycle).Done()

	outcomes := 0
	for range p.outcome {
		outcomes++
	}

	assert.LessOrEqual(t, outcomes, 1)
}

// Promise L6: a session may end at the moment when its own timer looks at the packets that a
// parent did not take.
func TestPostponed_SessionEndsWhenTheTimerFires(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range 20 {
					p := newPostponed()

					synctest.Wait()
					time.Sleep(suspicion) // The timer fires now.
					end(p.sess, p.stream)
					p.finish(t)
				}
			})
		})
	}
}

// Promise L6: thousands of sessions end when their timers fire. Real time allows many more
// interleavings than the bubble does.
func TestPostponed_ManySessionsEndInRealTime(t *testing.T) {
	together := 20
	if *stress > 0 {
		together = 400
	}

	began := time.Now()

	for first := true; first || time.Since(began) < *stress; first = false {
		var all sync.WaitGroup

		for _, end := range ends {
			for i := range together {
				// The sessions end around the moment when the timer fires.
				moment := suspicion + time.Duration(i-together/2)*20*time.Microsecond

				all.Go(func() {
					p := newPostponed()
					<-time.After(moment)
					end(p.sess, p.stream)
					p.finish(t)
				})
			}
		}

		all.Wait()
	}
}
