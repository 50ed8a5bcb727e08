package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errReplaced is why the packets that waited for a parent are routed again when the parent has
// registered once more, or another parent has adopted the session.
var errReplaced = errors.New("the parent has been replaced")

// unpromised is how long a session waits for another parent after the loss of one that had not
// promised a goodbye, as existing nodes do not. It is short, because the loss may have been an
// ordinary end. It is long enough for the node above, which notices the loss of an existing node
// when the connection breaks.
const unpromised = time.Second

// loseParent ends a registration, unless it has ended. The session goes on with the other
// parents. Without any other it closes, or becomes an orphan.
func (s *session) loseParent(par *parent, cause error) {
	s.loseParentIf(par, cause, func() bool { return true })
}

// loseParentIf is loseParent under a condition, which is asked under the lock.
func (s *session) loseParentIf(par *parent, cause error, lost func() bool) {
	var e effects

	text := s.newsText(cause)

	s.mu.Lock()
	if !slices.Contains(s.parents, par) || !lost() {
		s.mu.Unlock()

		return
	}

	last := len(s.parents) == 1
	// The loss of an orphan's parent was told when the wait for another one began.
	news := par.state != orphaned && !errors.Is(cause, io.EOF)

	switch {
	case last && !par.isWaiting() && !errors.Is(cause, io.EOF) && par.isReplaceable(s.me):
		s.orphanLocked(par, cause, &e)
	case last:
		// Recv must have its cause before Listen returns.
		end := endOf(par, cause)

		if news {
			s.rootLostLocked(par.addr, text)
		}

		s.mailbox.queue.Close(end)
		s.dropLocked(par, cause, &e)
		s.closeLocked(end, false, (*link.Link).Close)
	default:
		s.dropLocked(par, cause, &e)
	}
	s.mu.Unlock()

	s.reporter.carryOut(&e)

	switch {
	case !news:
	case isOrchestrator(par.addr) || isOrchestrator(s.me):
		s.witness.noticed(par.addr, cause)
	default:
		s.witness.parted(par.addr, cause)
	}
}

// breakParent waits for a parent whose stream has ended without a goodbye: it may go on with
// another stream. If there are other parents, they get its packets meanwhile.
func (s *session) breakParent(l *link.Link, cause error) {
	var e effects

	s.mu.Lock()
	par := s.parents.byLink(l)

	if par == nil {
		s.mu.Unlock()

		return
	}

	waiting := par.unpark()
	par.breakOff(s.giveUpLocked(par, cause), cause)
	s.turnLocked(cause, &e)
	s.rerouteLocked(waiting, cause, false, &e)
	s.mu.Unlock()

	s.witness.broken(par.addr, cause)
	s.reporter.carryOut(&e)
}

// isReplaceable tells whether another node may take the place of the parent. No node replaces an
// orchestrator, and no node looks for the children of one; but an orchestrator that has promised
// a goodbye may come back.
func (par *parent) isReplaceable(me mino.Address) bool {
	return par.goodbye || !isOrchestrator(par.addr) && !isOrchestrator(me)
}

// waitFor returns how long the session waits, at least, for a lost parent to come back, or for
// another parent to replace it. Nobody replaces an orchestrator, nor adopts a child of the root.
func (c *config) waitFor(par *parent) time.Duration {
	switch {
	case !par.goodbye:
		return unpromised
	case isOrchestrator(par.addr):
		return min(c.grace, c.silence)
	case par.root:
		return min(c.grace, c.playerPatience())
	default:
		return c.grace
	}
}

// graceFor returns how long the session waits for a parent that it loses now. A root may be dead,
// and the session ends in time after its last sign of life: a root that was heard a moment ago is
// waited for as long as one that was silent for the whole bound and a resume after that.
func (c *config) graceFor(par *parent) time.Duration {
	wait := c.waitFor(par)

	if !par.root {
		return wait
	}

	heard := par.link.Heard()
	if heard.IsZero() {
		// Without signs of life, only the end of the stream tells that the root is gone.
		heard = time.Now()
	}

	return max(wait, min(c.grace, time.Until(heard.Add(c.silence+wait))))
}

// giveUpLocked returns the timer that ends the wait for a lost parent.
func (s *session) giveUpLocked(par *parent, cause error) *deadline.Deadline {
	var timer *deadline.Deadline

	grace := s.graceFor(par)

	// When the timer fires, the parent may be back, or lost once more.
	timer = deadline.Start(grace, grace, func() {
		s.loseParentIf(par, cause, func() bool { return par.timer == timer })
	})

	return timer
}

// orphanLocked gives the session some time to be adopted. Until then the session goes by the
// table of the parent that it has lost, and the packets for the parent are parked.
func (s *session) orphanLocked(par *parent, cause error, e *effects) {
	waiting := par.drain()
	par.orphan(s.parkLocked(par), s.giveUpLocked(par, cause))
	s.turnLocked(cause, e)
	s.rerouteLocked(waiting, cause, false, e)
}

// parkLocked returns a link without a neighbour, in which packets for a parent are parked.
func (s *session) parkLocked(par *parent) *link.Link {
	cfg := s.linkConfig(par.addr, par.key)
	cfg.Owner = parkOwner{(*linkOwner)(s)}
	cfg.News = true
	s.alive++

	return link.Park(cfg)
}

// parkOwner owns a parked link. No observer learns of its end, because no neighbour is lost
// with it.
type parkOwner struct {
	*linkOwner
}

// Released implements link.Owner.
func (o parkOwner) Released(l *link.Link) {
	s := o.session()
	defer s.ended()

	s.shares().Leave(shareOf(l.Peer))
}

// endOf returns what Recv says after the end of the last parent. A goodbye is a clean end. An
// existing node cancels the stream instead.
func endOf(par *parent, cause error) error {
	if errors.Is(cause, io.EOF) || !par.goodbye && status.Code(cause) == codes.Canceled {
		return nil
	}

	return fmt.Errorf("stream closed unexpectedly: %w", cause)
}

// dropLocked removes a parent, and routes the packets again that wait for it.
func (s *session) dropLocked(par *parent, cause error, e *effects) {
	s.parents = s.parents.remove(par)
	s.forgetMakerLocked(par)
	s.screen.over(par)
	s.turnLocked(cause, e)
	s.rerouteLocked(par.drain(), cause, false, e)
	par.end()
}
