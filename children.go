package session

import (
	"time"

	"github.com/minogrpc/session/internal/link"
)

// firstPause is how long after the loss of a child the first attempt to reach it comes. Each
// pause is twice the one before.
const firstPause = time.Second

// child is a neighbour that this session has dialled, or tries to reach again without waiting
// for the next packet: it may only have been cut off, and be waiting for its parent.
type child struct {
	// link leads to it. It is nil while it is lost.
	link *link.Link

	// next makes the next attempt to reach it. It is nil when there will be none.
	next *time.Timer
	// pause is that before the last attempt, and until is when the child waits no more, as far
	// as this node can know. Both are zero for a child that is not missed.
	pause time.Duration
	until time.Time
}

// children are those of a session, by the text of their addresses. They belong to the lock of
// the session, and have none of their own.
type children map[string]*child

// link returns the link to a child, or nil.
func (cs children) link(key string) *link.Link {
	c := cs[key]
	if c == nil {
		return nil
	}

	return c.link
}

// add notes the link to a child. An attempt that was planned has nothing left to do.
func (cs children) add(l *link.Link) {
	c := cs[l.Key]
	if c == nil {
		c = &child{}
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

// lose notes that a link is over, unless there is another one already. It tells whether the
// child is missed, and so its loss is known.
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

// miss plans the next attempt to reach a lost child, and returns how long after this moment it
// comes, or false when there is none. A child that has never answered is not missed, and none
// is for longer than it waits for its parent.
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

// end gives up all of them, and returns their links.
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
