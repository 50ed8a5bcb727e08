package worlds_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// crew is an RPC of real nodes, in which all send to all. The first node is the root, and an
// orchestrator on a node of its own opens the stream.
type crew struct {
	*testing.T

	net    *sessiontest.Network
	nodes  *sessiontest.Nodes
	cancel context.CancelFunc

	// readers are the goroutines that wait for outcomes.
	readers sync.WaitGroup

	mu  sync.Mutex
	out []mino.Sender
	// got are the numbers of the messages of each flow, in the order of their arrival.
	got map[flow][]int
	// sent counts the messages of each flow, and failed are their errors by number.
	sent   map[flow]int
	failed map[flow]map[int]error
}

// flow is what one player sends to another.
type flow struct{ from, to int }

// player is the handler of one node of a crew.
type player struct {
	mino.UnsupportedHandler

	crew *crew
	me   int
}

// Stream implements mino.Handler.
func (p player) Stream(out mino.Sender, in mino.Receiver) error {
	p.crew.mu.Lock()
	p.crew.out[p.me] = out
	p.crew.mu.Unlock()

	for {
		_, msg, err := in.Recv(context.Background())
		if msg == nil {
			return err // The end of the RPC.
		}

		p.crew.receive(p.me, string(msg.(fake.Message)))
	}
}

// withCrew runs a test with an RPC of n players in a tree of a height, in a bubble.
func withCrew(t *testing.T, height, n int, test func(c *crew)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, n)
		c.open(height, n)
		test(c)
		c.close()
	})
}

// newCrew returns a crew of n players whose nodes do not run yet.
func newCrew(t *testing.T, n int) *crew {
	return &crew{
		T: t, out: make([]mino.Sender, n),
		got: make(map[flow][]int), sent: make(map[flow]int), failed: make(map[flow]map[int]error),
	}
}

// open starts the nodes and the RPC, and waits until all handlers run. The last node is that of the
// orchestrator, and no player.
func (c *crew) open(height, n int) {
	var (
		ctx context.Context
		rpc mino.RPC
	)

	c.nodes = sessiontest.Cluster(c, n+1,
		sessiontest.WithRouter(func(mino.AddressFactory) router.Router { return routerOf(height) }),
		sessiontest.WithSetup(func(i int, node mino.Mino) (err error) {
			rpc, err = node.CreateRPC("crew", player{crew: c, me: i}, fake.MessageFactory{})

			return err
		}))
	c.net = c.nodes.Network()
	ctx, c.cancel = context.WithCancel(context.Background())

	players := c.nodes.Addresses()[:n]
	out, in, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	require.NoError(c, err)

	c.readers.Go(func() {
		for {
			if _, _, err := in.Recv(context.Background()); err != nil {
				return
			}
		}
	})

	for err := range out.Send(fake.Message(""), players...) {
		require.NoError(c, err)
	}

	synctest.Wait()
}

// name returns where a node listens.
func (c *crew) name(i int) string {
	return fmt.Sprintf("n%d:1", i)
}

// close ends the RPC.
func (c *crew) close() {
	c.cancel()
	c.readers.Wait()
}

// receive notes a message that has arrived.
func (c *crew) receive(me int, text string) {
	if text == "" {
		return // The one that starts the handlers.
	}

	from, number, _ := strings.Cut(text, " ")
	sender, _ := strconv.Atoi(from)
	n, _ := strconv.Atoi(number)

	c.mu.Lock()
	defer c.mu.Unlock()

	f := flow{sender, me}
	c.got[f] = append(c.got[f], n)
}

// send sends the next message of a flow, and reads its outcome in the background.
func (c *crew) send(f flow) {
	c.mu.Lock()
	c.sent[f]++
	n, out := c.sent[f], c.out[f.from]
	c.mu.Unlock()

	errs := out.Send(fake.Message(fmt.Sprint(f.from, " ", n)), c.nodes.Address(f.to))

	c.readers.Go(func() {
		for err := range errs {
			c.mu.Lock()
			if c.failed[f] == nil {
				c.failed[f] = make(map[int]error)
			}

			c.failed[f][n] = err
			c.mu.Unlock()
		}
	})
}

// sendFor lets some players send to each other for a while. Each sends a message in each round,
// to one after another. The pause between two rounds is virtual time.
func (c *crew) sendFor(players []int, d, pause time.Duration) {
	for round := 0; time.Duration(round)*pause < d; round++ {
		for i, from := range players {
			c.send(flow{from, players[(i+1+round%(len(players)-1))%len(players)]})
		}

		time.Sleep(pause)
	}
}

// check is wrong for a test that ends with the first thing that is.
func (c *crew) check(mayFail func(f flow, err error) bool) {
	if wrong := c.wrong(mayFail); wrong != "" {
		c.Error(wrong)
	}
}

// wrong waits for the outcomes, and returns what is not as it must be, or an empty text. Each
// message must have one outcome, and must have arrived once if that says so. The messages of a
// flow must have arrived in their order.
func (c *crew) wrong(mayFail func(f flow, err error) bool) string {
	time.Sleep(2 * session.DefaultOutcomeTimeout) // Virtual time.
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()

	var all []string

	for f, sent := range c.sent {
		arrived := make(map[int]bool)
		last := 0

		for _, n := range c.got[f] {
			if n <= last {
				all = append(all, fmt.Sprintf("%v: message %d has arrived after %d", f, n, last))
			}

			last, arrived[n] = n, true
		}

		for n := 1; n <= sent; n++ {
			err := c.failed[f][n]

			switch {
			case err == nil && !arrived[n]:
				all = append(all, fmt.Sprintf("%v: message %d was delivered, but has not arrived", f, n))
			case err != nil && !mayFail(f, err):
				all = append(all, fmt.Sprintf("%v: message %d, arrived %v: %v", f, n, arrived[n], err))
			}
		}
	}

	if len(all) > 10 {
		all = append(all[:10], fmt.Sprint(len(all)-10, " more"))
	}

	return strings.Join(all, "\n")
}

// overtaken tells whether an error says that a message was too late.
func overtaken(err error) bool {
	return strings.Contains(err.Error(), "was delivered before") || strings.Contains(err.Error(), "too old to tell")
}
