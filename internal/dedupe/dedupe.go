// Package dedupe recognises packets that have been delivered before.
//
// A packet is known by its source, the origin, which is a random identity of the sending session,
// and its sequence there. The origin alone would do if it were a secret: but who passes a packet
// on learns it, and must not be able to send others in its name. Sequences of one sender have
// gaps, as not every packet is for this node, and arrive slightly out of order, as there may be
// several ways. For each sender, a source with an origin, a window remembers the newest sequences
// one by one; what is older than the window can be told from nothing and counts as stale.
//
// Anybody may invent senders. So each neighbour has a share of its own, with the senders that came
// from there. When there are too many, the neighbour with the most loses one. A sender is
// forgotten only when every neighbour that has sent for it has lost it. So a liar costs those
// senders alone whose packets come by the same neighbour, and a liar whose neighbours let it speak
// for nobody else costs nobody. What the senders cost is counted in the account of the neighbour.
//
// A table does not tell how many players there are above it, so that the bound of all senders is a
// number, and not that of the players.
//
// The types belong to one goroutine at a time.
package dedupe

import (
	"hash/maphash"

	"github.com/minogrpc/session/internal/memory"
)

// maxSenders bounds the senders that are remembered, each counted for each of its neighbours. It is
// more than the 100,000 players that the overlay allows a stream by default.
const maxSenders = 1 << 17

// maxOrigins bounds the origins of one source in the share of a neighbour. A player has another
// origin each time it is started.
const maxOrigins = 16

const (
	// senderCost is what a sender with a full window takes, in bytes, with the maps it is in.
	senderCost = 1 << 10

	// freeSenders is how many are remembered that are not counted in any account: what a session
	// takes for itself is not counted either.
	freeSenders = 64
)

// sender is one session that sends. A sum stands for the text of the source, which may be long:
// nobody finds another text with the same one without the seed.
type sender struct {
	source uint64
	origin string
}

var sourceSeed = maphash.MakeSeed()

// Memory remembers the packets of many senders. The zero value is empty.
type Memory struct {
	senders map[sender]*window
	shares  map[string]*share
	// held counts the senders in all shares.
	held int
}

// Check tells whether the packet has been marked before.
func (m *Memory) Check(source string, origin []byte, sequence uint64) Verdict {
	w := m.senders[sender{maphash.String(sourceSeed, source), string(origin)}]
	if w == nil {
		return New
	}

	return w.check(sequence)
}

// Hold makes room for the sender of a packet that has come from that neighbour. It returns false
// when there is none in the account of the neighbour, which may be nil for no limit.
func (m *Memory) Hold(neighbour string, account *memory.Budget, source string, origin []byte) bool {
	return m.hold(m.shareOf(neighbour), account, maphash.String(sourceSeed, source), origin) != nil
}

// Mark remembers the packet, for whose sender there must be room, or a neighbour without a limit.
func (m *Memory) Mark(neighbour, source string, origin []byte, sequence uint64) {
	m.hold(m.shareOf(neighbour), nil, maphash.String(sourceSeed, source), origin).mark(sequence)
}

// Forget forgets everything, and gives the memory back to the accounts.
func (m *Memory) Forget() {
	for _, sh := range m.shares {
		for _, src := range sh.sources {
			for _, h := range src.origins {
				h.account.Release(h.cost)
			}
		}
	}

	*m = Memory{}
}

// shareOf returns the share of a neighbour.
func (m *Memory) shareOf(neighbour string) *share {
	sh := m.shares[neighbour]
	if sh != nil {
		return sh
	}

	if m.shares == nil {
		m.shares, m.senders = make(map[string]*share), make(map[sender]*window)
	}

	sh = newShare()
	m.shares[neighbour] = sh

	return sh
}

// hold returns the window of a sender, and makes sure that it is in the share, as the newest. It
// returns nil when the account has no room for that.
func (m *Memory) hold(sh *share, account *memory.Budget, sum uint64, origin []byte) *window {
	w := sh.newest(sum, origin)
	if w != nil {
		return w
	}

	cost := 0
	if m.held >= freeSenders {
		cost = senderCost
	}

	if !account.Reserve(cost) {
		return nil
	}

	src := sh.touch(sum)
	key := sender{sum, string(origin)}

	w = m.senders[key]
	if w == nil {
		w = new(window)
		m.senders[key] = w
	}

	w.holders++
	m.held++
	sh.held++
	src.origins = append(src.origins, held{origin: key.origin, window: w, account: account, cost: cost})

	if len(src.origins) > maxOrigins {
		m.release(sh, src)
	}

	if m.held > maxSenders {
		m.shrink()
	}

	return w
}

// release takes the oldest origin of a source out of a share.
func (m *Memory) release(sh *share, src *source) {
	old := src.origins[0]
	copy(src.origins, src.origins[1:])
	src.origins[len(src.origins)-1] = held{}
	src.origins = src.origins[:len(src.origins)-1]

	m.held--
	sh.held--
	old.account.Release(old.cost)
	old.window.holders--

	if old.window.holders == 0 {
		delete(m.senders, sender{src.sum, old.origin})
	}
}

// shrink makes room: the neighbour with the most senders loses the one that has been quiet for the
// longest time.
func (m *Memory) shrink() {
	var largest *share

	for _, sh := range m.shares {
		if largest == nil || sh.held > largest.held {
			largest = sh
		}
	}

	src := largest.oldest()
	m.release(largest, src)

	if len(src.origins) == 0 {
		largest.remove(src)
	}
}
