package session

import (
	"errors"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// parentState is the state of a registration.
//
//	live <──> suspect        it has a stream; a suspect parent did not take a packet lately
//	  │  └──> broken ──┐     its duplex link has no stream, and may get another one
//	  │        │  └────┴──>  live or suspect again, by resume
//	  └──> orphaned          its link is over; another parent may adopt the session
//
// Each state may become gone, which is final.
type parentState int

const (
	live parentState = iota
	suspect
	broken
	orphaned
	gone
)

// parent is one registration. A gateway that registers again is a new one.
//
// It has no lock and no goroutine of its own. The fields that change belong to the lock of the
// session, and only the methods of parent change them. So a timer that fires while the session
// closes finds either a parent that is there or one that is gone.
type parent struct {
	key  string
	addr mino.Address
	// name is the address for people to read.
	name name
	// follower is the key by which an existing orchestrator calls, and empty for any other
	// parent.
	follower string
	table    router.RoutingTable
	// oneWay and maker are what the table can do besides. They are nil where it cannot.
	oneWay router.NextHop
	maker  router.Maker
	// goodbye is set when the parent says goodbye at the end. An end without it is a break.
	goodbye bool
	// root is set when the parent is the root of the tree, so that nobody adopts its children.
	root bool
	// linkID is the id of a duplex link that the parent has dialled.
	linkID string
	// over is closed when the registration has ended.
	over chan struct{}
	// uncharge gives the memory of the table back to the budget.
	uncharge func()

	// The fields below belong to the lock of the session.

	state parentState
	// cut is set while the parent says that its own way up is cut.
	cut bool
	// chosen is set for the parent that the session uses. Others must be better to be chosen.
	chosen bool
	// until is when a suspect parent becomes live again.
	until time.Time
	// link leads to the parent. It is closed once the parent is orphaned or gone.
	link *link.Link
	// parked holds packets that wait for a parent: for a suspect one until the next attempt, for
	// an orphaned one until another parent adopts the session. It is nil when there are none.
	parked *link.Link
	// timer ends the present state: it tries the parked packets again if the parent is suspect,
	// and gives the parent up if it is broken or orphaned. It is nil when nothing waits.
	timer *deadline.Deadline
	// stream is the newest stream, whose number is epoch.
	stream *parentStream
	epoch  uint64
	// first is what stream was in the beginning. It does not change.
	first *parentStream
	// led is set when the table has led to a child.
	led bool
}

// parentStream is one stream of the duplex link to a parent. Whoever serves it waits for one of
// the channels.
type parentStream struct {
	// superseded is closed when a newer stream replaces this one.
	superseded chan struct{}
	// givenUp is closed when the session gives the stream up, and cause is why.
	givenUp chan struct{}
	cause   error
}

func newParentStream() *parentStream {
	return &parentStream{superseded: make(chan struct{}), givenUp: make(chan struct{})}
}

// giveUp ends the stream for whoever serves it.
func (s *parentStream) giveUp(cause error) {
	if s.cause == nil {
		s.cause = cause
		close(s.givenUp)
	}
}

// attach gives a new registration its link.
func (par *parent) attach(l *link.Link) {
	par.link = l
	par.over = make(chan struct{})
	par.stream = newParentStream()
	par.first = par.stream
}

// current returns the state at this moment.
func (par *parent) current() parentState {
	// Most parents were never suspect, and reading the clock costs time.
	if par.state == suspect && !par.until.After(time.Now()) {
		par.state = live
	}

	return par.state
}

// isWaiting tells whether the session waits for the parent to come back, or for another one to
// replace it.
func (par *parent) isWaiting() bool {
	return par.state == broken || par.state == orphaned
}

// rank tells how good a parent is. The best have 0.
func (par *parent) rank() int {
	switch state := par.current(); {
	case state > suspect:
		return 3
	case par.cut:
		// It still reaches those below it.
		return 2
	case state == suspect:
		return 1
	default:
		return 0
	}
}

// distrust makes the parent suspect, so that others are preferred for a while. It returns true
// if the parent was live.
func (par *parent) distrust(until time.Time) (news bool) {
	if par.isWaiting() || par.state == gone {
		return false
	}

	news = par.current() == live
	par.state, par.until = suspect, until

	return news
}

// outlet returns where a packet for the parent goes.
func (par *parent) outlet() *link.Link {
	if par.state == orphaned {
		return par.parked
	}

	return par.link
}

// waitingLink returns the link in which packets wait for the parent, or nil when the session must
// park one.
func (par *parent) waitingLink() *link.Link {
	if par.state == broken {
		return par.link
	}

	return par.parked
}

// park gives a parent that did not take a packet a parked link, until the timer fires.
func (par *parent) park(parked *link.Link, timer *deadline.Deadline) {
	par.parked = parked
	par.wait(timer)
}

// breakOff notes that the duplex link has no stream. The timer gives the parent up. A link that
// breaks once more has the whole time again. The cause may be that of this end, and the stream may
// go on: whoever serves it has to end it.
func (par *parent) breakOff(timer *deadline.Deadline, cause error) {
	par.state = broken
	par.wait(timer)

	if errors.Is(cause, link.ErrSilent) || errors.Is(cause, link.ErrStuck) {
		par.stream.giveUp(cause)
	}
}

// orphan notes that the link is over. Packets for the parent wait in the parked link until the
// timer gives the parent up.
func (par *parent) orphan(parked *link.Link, timer *deadline.Deadline) {
	par.link.Close()
	par.state, par.parked = orphaned, parked
	par.wait(timer)
}

// resume notes that the link goes on over the stream with that number, and returns that stream. A
// newer one may have replaced it already, because the link starts to use a stream without the lock
// of the session; resume then changes nothing. Nor does it when the registration is over: nothing
// replaces the stream any more.
func (par *parent) resume(epoch uint64) *parentStream {
	stream := newParentStream()

	switch {
	case par.state == gone:
		return stream
	case epoch < par.epoch:
		close(stream.superseded)

		return stream
	}

	par.epoch = epoch

	// The stream may have broken already. Then the parent stays broken, and its timer runs on:
	// nothing else would give it up.
	if par.state == broken && !par.link.Broken() {
		par.state = live
		par.wait(nil)
	}

	close(par.stream.superseded)
	par.stream = stream

	return stream
}

// drain removes the packets that wait for the parent from its link and the parked one.
func (par *parent) drain() []*link.Parcel {
	return append(par.link.Drain(), par.unpark()...)
}

// unpark removes the packets from the parked link, and closes that.
func (par *parent) unpark() []*link.Parcel {
	if par.parked == nil {
		return nil
	}

	waiting := par.parked.Drain()
	par.parked.Close()
	par.parked = nil

	if par.state == live || par.state == suspect {
		par.wait(nil)
	}

	return waiting
}

// end ends the registration, and closes its links.
func (par *parent) end() {
	par.wait(nil)
	par.link.Close()

	if par.parked != nil {
		par.parked.Close()
		par.parked = nil
	}

	if par.state != gone {
		par.state = gone

		if par.uncharge != nil {
			par.uncharge()
		}

		close(par.over)
	}
}

// wait replaces the timer. If the old one has fired already, it waits for the lock of the
// session, and then finds that it is no longer the timer of the parent.
func (par *parent) wait(timer *deadline.Deadline) {
	if par.timer != nil {
		par.timer.Stop()
	}

	par.timer = timer
}

// parents are the registrations of a session, the oldest first. The newest is preferred. They
// belong to the lock of the session.
type parents []*parent

// find returns the first parent for which the test is true, or nil.
func (ps parents) find(test func(*parent) bool) *parent {
	i := slices.IndexFunc(ps, test)
	if i < 0 {
		return nil
	}

	return ps[i]
}

// byKey returns the registration of a gateway, or nil.
func (ps parents) byKey(key string) *parent {
	for _, par := range ps { // On the way of every packet.
		if par.key == key {
			return par
		}
	}

	return nil
}

// byLink returns the registration that a link belongs to, or nil. The old link of an orphaned
// parent belongs to none: what it still reports changes nothing.
func (ps parents) byLink(l *link.Link) *parent {
	return ps.find(func(par *parent) bool { return par.link == l && par.state != orphaned })
}

// byLinkID returns the registration whose duplex link has that id and leads to that gateway.
func (ps parents) byLinkID(id, key string) *parent {
	return ps.find(func(par *parent) bool { return par.linkID == id && par.key == key })
}

// byFollower returns the orchestrator that makes calls under a key, or nil.
func (ps parents) byFollower(key string) *parent {
	return ps.find(func(par *parent) bool { return par.follower != "" && par.follower == key })
}

// add returns the parents with one more, and those that it replaces: an earlier registration of
// the same gateway, and all parents that the session waits for, because the new one adopts it.
func (ps parents) add(par *parent) (all parents, replaced []*parent) {
	for _, old := range ps {
		if old.key == par.key || old.isWaiting() {
			replaced = append(replaced, old)
		}
	}

	return append(ps, par), replaced
}

// remove returns the parents without one.
func (ps parents) remove(par *parent) parents {
	return slices.DeleteFunc(ps, func(p *parent) bool { return p == par })
}

// pick returns the parent that a packet goes to: the best one, and among equals the chosen one,
// or else the newest. It never returns the parent that the packet came from, nor one that did not
// take it. It returns nil when there is no other.
func (ps parents) pick(from string, failed []string) *parent {
	var best *parent

	for _, par := range slices.Backward(ps) {
		switch {
		case par.key == from || slices.Contains(failed, par.key):
		case best == nil, par.rank() < best.rank(), par.chosen && par.rank() == best.rank():
			best = par
		}
	}

	return best
}

// toward is pick for one destination. A parent that is the destination is the way to itself: the
// node above may have lost it, although it is there.
func (ps parents) toward(key, from string, failed []string) *parent {
	par := ps.byKey(key)
	if par == nil || par.current() > suspect || key == from || slices.Contains(failed, key) {
		return ps.pick(from, failed)
	}

	return par
}

// choose makes a parent the chosen one.
func (ps parents) choose(par *parent) {
	for _, other := range ps {
		other.chosen = other == par
	}
}

// isCut tells whether all parents are lost, or have no way up themselves. An orchestrator that is
// lost counts as there: no other way leads to it.
func (ps parents) isCut() bool {
	return len(ps) > 0 && ps.find(func(par *parent) bool { return par.rank() < 2 || isOrchestrator(par.addr) }) == nil
}

// preferred returns the parent that a packet without a given table goes by, or nil.
func (ps parents) preferred() *parent {
	return ps.pick("", nil)
}

// tableFor returns the parent whose table routes a packet from that neighbour: the neighbour
// itself if it is a parent, or else the preferred parent.
func (ps parents) tableFor(from string) *parent {
	par := ps.byKey(from)
	if par != nil {
		return par
	}

	return ps.preferred()
}

// sender returns the key of the neighbour that a packet comes from. An existing orchestrator
// calls in the name of the player on its node, and only the source tells the two apart: a packet
// whose source is the orchestrator comes from above, and any other from the player.
func (ps parents) sender(from string, packet router.Packet) string {
	par := ps.byFollower(from)
	if par == nil {
		return from
	}

	source, err := contain.Call(func() (string, error) { return keyOf(packet.GetSource()) })
	if err != nil || source != par.key {
		return from
	}

	return source
}
