package session

import (
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/provenance"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// usualParents is the number of parents up to which a look at the registrations needs no
// allocation.
const usualParents = 4

// screen refuses packets for their provenance: from a stranger, or with a source that cannot be
// behind its neighbour. It belongs to the lock of the session.
type screen struct {
	// on is set by [WithNeighborsOnly]. Without it the screen refuses only news. Without news, either,
	// it remembers nothing.
	on, remembers bool
	// sources are the keys of the only sources, or nil for no such limit; see [WithSources].
	sources map[string]struct{}
	// me is the text of the address of this node.
	me   string
	book provenance.Book
}

// opened remembers that a table has led to a child, to which the session opens a link now.
func (sc *screen) opened(via *parent, key string, child mino.Address) {
	if sc.remembers {
		via.led = true
		sc.book.Opened(provenance.Node{Key: key, Addr: child})
	}
}

// over remembers a parent whose registration is over.
func (sc *screen) over(par *parent) {
	if sc.remembers {
		sc.book.Over(par.registration())
	}
}

// passedOver returns the texts of the lost children in whose place this node opens a stream to
// a child that was behind them.
func (sc *screen) passedOver(via *parent, key string, child mino.Address) []string {
	if !sc.on {
		return nil
	}

	return sc.book.PassedOver(via.table, provenance.Node{Key: key, Addr: child})
}

// knows tells whether a caller is or has been a neighbour. An existing orchestrator calls under
// the key of the player on its node.
func (sc *screen) knows(key string, current parents) bool {
	var usual [usualParents]provenance.Registration

	return current.byFollower(key) != nil || sc.book.Knows(key, current.registrations(usual[:0]))
}

// check returns an error for a packet whose source cannot be behind the neighbour that sent it.
func (sc *screen) check(in arrival, packet router.Packet, current parents) (err error) {
	defer contain.Recover(&err)

	if sc.sources != nil && !sc.isSource(packet.GetSource()) {
		return impossible(packet.GetSource(), in.addr)
	}

	if !sc.on {
		return nil
	}

	var usual [usualParents]provenance.Registration

	// A source without a text can be behind nobody.
	source := packet.GetSource()
	key, _ := keyOf(source)

	if sc.book.Admits(sc.me, provenance.Node{Key: in.from, Addr: in.addr},
		provenance.Node{Key: key, Addr: source}, current.registrations(usual[:0])) {
		return nil
	}

	return impossible(source, in.addr)
}

// isSource tells whether an address is one of the only sources.
func (sc *screen) isSource(source mino.Address) bool {
	key := sourceKey(source)
	_, known := sc.sources[key]

	return known && key != ""
}

// impossible is the error of a packet with a source that cannot be behind a neighbour.
func impossible(source, from mino.Address) error {
	name := "nobody"
	if source != nil {
		name = nameOf(source)
	}

	return fmt.Errorf("%w: a packet of %s cannot come from %s", ErrSource, name, nameOf(from))
}

// admit refuses a caller that is no neighbour, before the session looks at anything of its
// packet. A session that is closed, or has no parent yet, has another answer for it.
func (s *session) admit(key string, from mino.Address) error {
	if !s.neighborsOnly {
		return nil
	}

	s.mu.Lock()
	stranger := !s.closed && len(s.parents) > 0 && !s.screen.knows(key, s.parents)
	s.mu.Unlock()

	if !stranger {
		return nil
	}

	err := fmt.Errorf("%w: %s is no neighbour in this session", ErrStranger, nameOf(from))
	s.witness.packetRefused(from, err)

	return err
}

// registration returns what provenance needs to know of a parent.
func (par *parent) registration() provenance.Registration {
	return provenance.Registration{Key: par.key, Table: par.table, Led: par.led}
}

// registrations appends the registrations of the present parents to a list.
func (ps parents) registrations(list []provenance.Registration) []provenance.Registration {
	for _, par := range ps {
		list = append(list, par.registration())
	}

	return list
}
