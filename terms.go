package session

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/internal/watch"
	"google.golang.org/grpc"
)

// terms are what a child has agreed to over one transport: how its duplex links are.
type terms struct {
	// meter is that of the transport, which no other has.
	meter *watch.Meter

	frame  int
	format string
	can    []string
	wait   time.Duration
}

// offer returns the offer of a link whose frames follow at once.
func (t *terms) offer(id string) offer.Offer {
	o := offer.Offer{ID: id, Epoch: 1, Frame: t.frame, Can: t.can, Early: true}
	if t.format != "" {
		o.Formats = []string{t.format}
	}

	return o
}

// areThose tells whether an acceptance agrees to the same.
func (t *terms) areThose(accepted *offer.Acceptance) bool {
	return accepted.Frame == t.frame && accepted.Format == t.format && slices.Equal(accepted.Can, t.can) &&
		accepted.Received == 0
}

// agreements are the terms over one connection. The terms of a transport do not hold for the next one,
// because another node may have the address by then. The zero value is ready to use, and may be used from
// several goroutines at once.
type agreements struct {
	mu sync.Mutex
	by map[dealing]*terms
}

// dealing is what terms are for. Another overlay may serve another procedure, and sessions may have other
// formats.
type dealing struct {
	procedure, formats string
}

// agreementsOver returns what has been agreed over a connection, or nil if nobody remembers that.
func agreementsOver(conn grpc.ClientConnInterface) *agreements {
	shared, ok := conn.(*sharedConn)
	if !ok {
		return nil
	}

	return &shared.agreed
}

// find returns the last terms, or nil.
func (a *agreements) find(of dealing) *terms {
	if a == nil {
		return nil
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	return a.by[of]
}

// note remembers the last terms. Nil forgets what there was.
func (a *agreements) note(of dealing, t *terms) {
	if a == nil {
		return
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	if t == nil {
		delete(a.by, of)

		return
	}

	if a.by == nil {
		a.by = make(map[dealing]*terms)
	}

	a.by[of] = t
}

// termsOf returns the terms of a child that has accepted a stream, or nil if no frames may follow the next
// opening at once. A child that agrees to more than it was offered is not believed, so that it cannot make
// this node remember, and say again, whatever it likes. Nothing else of its answer stays in memory.
func (f *framing) termsOf(meter *watch.Meter, accepted *offer.Acceptance) *terms {
	if meter == nil || !slices.Contains(accepted.Can, link.CanEarly) || len(accepted.Can) > len(capabilities) {
		return nil
	}

	t := &terms{meter: meter, frame: accepted.Frame, format: strings.Clone(accepted.Format), wait: accepted.Wait}

	for _, name := range accepted.Can {
		t.can = append(t.can, strings.Clone(name))
	}

	if !f.binds(t.offer("")) {
		return nil
	}

	return t
}
