package session

import (
	"maps"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
)

// firstPause is how long after the loss of a child the first attempt to reach it comes. Each
// pause is twice the one before.
const firstPause = time.Second

// child is a neighbour that this session has dialled. After a loss it is missed for a while: the
// session tries to reach it again without a packet, because it may only have been cut off, and be
// waiting for its parent.
type child struct {
	addr mino.Address
	// name is the address for people to read.
	name name
	// link leads to the child. It is nil while the child is lost.
	link *link.Link

	// next makes the next attempt to reach the child. It is nil when there will be none.
	next *time.Timer
	// pause is the time before the last attempt. until is when the child stops waiting, as far as
	// this node can know. Both are zero for a child that is not missed.
	pause time.Duration
	until time.Time
}

// children are the children of a session, by the text of their addresses. They belong to the lock
// of the session.
type children map[string]*child

// link returns the link to a child, or nil.
func (cs children) link(key string) *link.Link {
	c := cs[key]
	if c == nil {
		return nil
	}

	return c.link
}

// add notes the link to a child, and cancels the next attempt.
func (cs children) add(l *link.Link) {
	c := cs[l.Key]
	if c == nil {
		c = &child{addr: l.Peer}
		cs[l.Key] = c
	}

	c.link = l
	c.plan(nil)
}

// opened notes that a child has answered: it is not missed any more.
func (cs children) opened(l *link.Link) {
	if c := cs[l.Key]; c != nil && c.link == l {
		c.found()
	}
}

// reached returns the addresses of the children that have answered and are not lost, in the order of
// their texts.
func (cs children) reached() []mino.Address {
	var peers []mino.Address

	for _, key := range slices.Sorted(maps.Keys(cs)) {
		if l := cs.link(key); l != nil && l.Opened() {
			peers = append(peers, l.Peer)
		}
	}

	return peers
}

// lose notes that a link is over, unless there is another one already. It returns true if the
// child was missed before, so that its loss is known.
func (cs children) lose(l *link.Link) (missed bool) {
	c := cs[l.Key]
	if c == nil {
		return false
	}

	if c.link == l {
		c.link = nil
	}

	return c.pause > 0
}

// miss returns how long after now the next attempt to reach a lost child comes, or false when
// there is none. A child that has never answered is not missed. Any other is missed for as long
// as it waits for its parent, which is the patience.
func (cs children) miss(l *link.Link, now time.Time, patience time.Duration) (pause time.Duration, ok bool) {
	c := cs[l.Key]

	switch {
	case c == nil:
		return 0, false
	case c.pause > 0:
		c.pause *= 2
	case l.Opened():
		c.pause, c.until = firstPause, now.Add(patience)
	}

	if c.pause == 0 || now.Add(c.pause).After(c.until) {
		cs.forget(l.Key)

		return 0, false
	}

	return c.pause, true
}

// forget gives up the attempts to reach a child.
func (cs children) forget(key string) {
	c := cs[key]
	if c == nil {
		return
	}

	c.found()

	if c.link == nil {
		delete(cs, key)
	}
}

// end gives up the attempts to reach any child, and returns the links.
func (cs children) end() []*link.Link {
	links := make([]*link.Link, 0, len(cs))

	for _, c := range cs {
		c.plan(nil)

		if c.link != nil {
			links = append(links, c.link)
		}
	}

	return links
}

// plan replaces the next attempt.
func (c *child) plan(next *time.Timer) {
	if c.next != nil {
		c.next.Stop()
	}

	c.next = next
}

// found ends the search for a child.
func (c *child) found() {
	c.plan(nil)
	c.pause, c.until = 0, time.Time{}
}
