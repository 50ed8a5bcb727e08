package session

import (
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// maxBudget bounds the time that the packet of another node may ask for, in outcome timeouts of
// this session. So it is ten times [MaxTimeout] at most.
const maxBudget = 10

// originSize is the length of the identity of a session, in bytes.
const originSize = 16

// arrival is a packet that has come from a neighbour.
type arrival struct {
	identity

	// from is the text of the neighbour's address, and addr the address.
	from string
	addr mino.Address
	// account is the share that the neighbour has of the budget.
	account *memory.Budget
	// down is set when the neighbour is known to be a parent.
	down bool
	// unordered is set when the packet may have overtaken others of its sender.
	unordered bool

	// header and body are the packet as it travels, unless err says why there is none.
	header, body []byte
	err          error

	// news are those that the packet brings, once they have been checked.
	news *ptypes.News
	// trace is what goes on with the packet of its context in a trace.
	trace []byte
}

// identity is what a packet says about itself, however it travels.
type identity interface {
	GetOrigin() []byte
	GetSequence() uint64
	GetHopLimit() uint32
	GetBudgetMs() uint32
	GetNews() *ptypes.News
	GetTrace() []byte
}

// numbering gives packets their identity, by which other nodes recognise a second copy. It
// belongs to the lock of the session, because the numbers are in the order of the sends.
type numbering struct {
	origin   [originSize]byte
	sequence uint64
	hopLimit uint32
	// outcome is how long a sender waits.
	outcome time.Duration
}

// departure returns the header of a packet that begins its way at this node.
func (n *numbering) departure() link.Header {
	n.sequence++

	now := time.Now()

	return link.Header{
		Origin:   n.origin[:],
		Sequence: n.sequence,
		HopLimit: n.hopLimit,
		Deadline: now.Add(n.outcome),
		Since:    now,
	}
}

// arrival returns the header of a packet that has come from a neighbour. A packet without an
// identity comes from an existing node, and gets an identity as if it began its way here.
func (n *numbering) arrival(in arrival, down bool) link.Header {
	h := link.Header{
		From:     in.from,
		Account:  in.account,
		Down:     in.down || down,
		Origin:   in.GetOrigin(),
		Sequence: in.GetSequence(),
		HopLimit: min(in.GetHopLimit(), n.hopLimit),
		Rare:     link.NewRare(in.news, in.trace),

		Unordered: in.unordered,
	}
	budget := time.Duration(in.GetBudgetMs()) * time.Millisecond

	if len(h.Origin) != originSize {
		n.sequence++
		h.Origin, h.Sequence, h.HopLimit = n.origin[:], n.sequence, n.hopLimit
		budget = 0
	}

	if budget <= 0 {
		budget = n.outcome
	}

	// A packet that waits costs this node memory, so a neighbour cannot ask for any time.
	h.Since = time.Now()
	h.Deadline = h.Since.Add(min(budget, maxBudget*n.outcome))

	return h
}
