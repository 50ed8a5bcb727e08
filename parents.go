package session

import (
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// parentState is where the registration of a parent is.
//
//	live <──> suspect        it has a stream, and may not have taken a packet lately
//	  │  └──> broken ──┐     its duplex link has no stream, and may get another one
//	  │        │  └────┴──>  live or suspect again, by resume
//	  └──> orphaned          its link is over; another parent may adopt the session
//
// Each of them may become gone, and nothing follows that.
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
// It has no lock and no goroutine of its own. What changes in it belongs to the lock of its
// session, and only its own methods change it: so a timer that fires while the session closes
// finds either a parent that is there or one that is gone.
type parent struct {
	key  string
	addr mino.Address
	// follower is the key by which an existing orchestrator calls, and empty for any other
	// parent.
	follower string
	table    router.RoutingTable
	// goodbye is set when an end without one is a break.
	goodbye bool
	// linkID is that of a duplex link that the parent has dialled.
	linkID string
	// over is closed when the registration has ended.
	over chan struct{}

	// What follows belongs to the lock of the session.

	state parentState
	// until is when a suspect parent is none any more.
	until time.Time
	// link leads to the parent. It is closed once the parent is orphaned or gone.
	link *link.Link
	// parked holds packets for which there is no link: those that a suspect parent did not
	// take, until another attempt, and those for an orphaned one, until its session is adopted.
	// It is nil when there is none.
	parked *link.Link
	// timer ends the present state: it makes another attempt at what is parked for a suspect
	// parent, or gives up one that is broken or orphaned. It is nil when nothing is waited for.
	timer *time.Timer
	// superseded is closed when a stream takes the place of the present one, whose number is
	// epoch.
	superseded chan struct{}
	epoch      uint64
	// led is set when the table has led to a child.
	led bool
}

// attach gives a new registration its link.
func (par *parent) attach(l *link.Link) {
	par.link = l
	par.over = make(chan struct{})
	par.superseded = make(chan struct{})
}

// current returns the state at this moment.
func (par *parent) current() parentState {
	// Most parents never were suspect, and the clock is not for free.
	if par.state == suspect && !par.until.After(time.Now()) {
		par.state = live
	}

	return par.state
}

// isWaiting tells whether the parent is lost but for the time that it has to come back, or
// another one to take its place.
func (par *parent) isWaiting() bool {
	return par.state == broken || par.state == orphaned
}

// doubt makes another parent the preferred one for a while. It returns true when that was not
// so already.
func (par *parent) doubt(until time.Time) (news bool) {
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

// box returns where packets wait for the parent, or nil when a box for them has to be parked.
func (par *parent) box() *link.Link {
	if par.state == broken {
		return par.link
	}

	return par.parked
}

// park gives a parent that did not take a packet a box for it, until the timer fires.
func (par *parent) park(box *link.Link, timer *time.Timer) {
	par.parked = box
	par.wait(timer)
}

// breakOff notes that the duplex link has no stream. The timer is what gives it up: a link
// that breaks once more has the whole time again.
func (par *parent) breakOff(timer *time.Timer) {
	par.state = broken
	par.wait(timer)
}

// orphan notes that the link is over. What is for the parent waits in the box until the timer
// gives it up.
func (par *parent) orphan(box *link.Link, timer *time.Timer) {
	par.link.Close()
	par.state, par.parked = orphaned, box
	par.wait(timer)
}

// resume notes that the link goes on over the stream with that number. It returns what is closed
// when the next stream does so; that may have happened, as the link takes streams into use
// without the lock of the session. It changes nothing then.
func (par *parent) resume(epoch uint64) (superseded <-chan struct{}) {
	if par.state == gone || epoch < par.epoch {
		over := make(chan struct{})
		close(over)

		return over
	}

	par.epoch = epoch

	// The stream may have broken already. Then nobody else would notice that the parent has
	// none, and the time goes on that it has for another one.
	if par.state == broken && !par.link.Broken() {
		par.state = live
		par.wait(nil)
	}

	close(par.superseded)
	par.superseded = make(chan struct{})

	return par.superseded
}

// drain takes what waits for the parent out of its link and the parked box.
func (par *parent) drain() []*link.Parcel {
	return append(par.link.Drain(), par.unpark()...)
}

// unpark takes what is in the parked box, and gives that up.
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

// end releases what belongs to the registration.
func (par *parent) end() {
	par.wait(nil)
	par.link.Close()

	if par.parked != nil {
		par.parked.Close()
		par.parked = nil
	}

	if par.state != gone {
		par.state = gone
		close(par.over)
	}
}

// wait replaces the timer. One that has fired already waits for the lock of the session, and
// finds that it is not the one of the parent any more.
func (par *parent) wait(timer *time.Timer) {
	if par.timer != nil {
		par.timer.Stop()
	}

	par.timer = timer
}

// parents are the registrations of a session, in their order. The newest is preferred.
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

// byLink returns the registration that a link belongs to, or nil. The link of an orphan is
// nobody's: what it still tells changes nothing.
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

// add registers a parent, and returns those that it replaces: an earlier registration of the
// same gateway, and all that are waited for, as it adopts the session.
func (ps *parents) add(par *parent) (replaced []*parent) {
	for _, old := range *ps {
		if old.key == par.key || old.isWaiting() {
			replaced = append(replaced, old)
		}
	}

	*ps = append(*ps, par)

	return replaced
}

// remove takes out a registration.
func (ps *parents) remove(par *parent) {
	*ps = slices.DeleteFunc(*ps, func(p *parent) bool { return p == par })
}

// pick returns the parent that a packet goes to: the newest that has not failed lately, or else
// the newest. It never returns the one that the packet came from, nor one of those that did not
// take it. It returns nil when there is no other.
func (ps parents) pick(from string, failed []string) *parent {
	var second *parent

	for _, par := range slices.Backward(ps) {
		switch {
		case par.key == from || slices.Contains(failed, par.key):
		case par.current() != live:
			if second == nil {
				second = par
			}
		default:
			return par
		}
	}

	return second
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
