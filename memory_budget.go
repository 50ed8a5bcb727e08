package session

import (
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
)

// MemoryBudget is a number of bytes that several sessions, usually all the sessions of a node, may
// hold together. It counts the cost of packets in queues and outboxes, as [WithOutboxLimits] does;
// routing tables that offer [router.Weighted]; messages that have come only in part; outcomes that
// a neighbour has not read; and what a session remembers to recognise second copies. It may be used
// from several goroutines at once.
//
// Each peer has a share of the budget. The share is charged for what the peer sends, wherever that
// waits, and for what waits for the peer. So one peer cannot use up the budget. An address and its
// orchestrator form are the same peer.
type MemoryBudget struct {
	budget *memory.Budget
	shares *memory.Shares
}

// defaultShare is the part of a budget that a peer may take.
const defaultShare = 4

// NewMemoryBudget returns a budget of the given number of bytes. One peer may take a quarter of it.
func NewMemoryBudget(bytes int) *MemoryBudget {
	return NewMemoryBudgetWithShare(bytes, bytes/defaultShare)
}

// NewMemoryBudgetWithShare returns a budget of the first number of bytes. One peer may take the
// second number of it. The share should be no less than the largest message: a larger message
// always has the outcome [ReasonOverflow].
func NewMemoryBudgetWithShare(bytes, peerShare int) *MemoryBudget {
	budget := memory.NewBudget(bytes)

	return &MemoryBudget{budget: budget, shares: memory.NewShares(budget, peerShare)}
}

// Used returns the number of bytes that are in use now.
func (b *MemoryBudget) Used() int {
	return b.budget.Used()
}

// maxPeers is how many peers a MemoryUsage names.
const maxPeers = 32

// MemoryUsage says who uses how much of a [MemoryBudget], in bytes.
type MemoryUsage struct {
	// Used is how much is in use, and Limit how much may be. A quarter more is there for what would
	// otherwise end a connection.
	Used  int `json:"used_bytes"`
	Limit int `json:"limit_bytes"`
	// PeerLimit is how much one peer may use.
	PeerLimit int `json:"peer_limit_bytes"`
	// Peers are the peers that use most, at most 32, the first the most. MorePeers is how many others
	// use something. What belongs to no peer is not in it.
	Peers     []PeerUsage `json:"peers,omitempty"`
	MorePeers int         `json:"more_peers,omitempty"`
}

// PeerUsage is what one peer uses.
type PeerUsage struct {
	Address string `json:"address"`
	Bytes   int    `json:"bytes"`
}

// Usage returns who uses how much now. A nil budget has no usage.
func (b *MemoryBudget) Usage() MemoryUsage {
	if b == nil {
		return MemoryUsage{}
	}

	usage := MemoryUsage{Used: b.budget.Used(), Limit: b.budget.Limit(), PeerLimit: b.shares.Limit()}

	var most []memory.Usage

	most, usage.MorePeers = b.shares.Usage(maxPeers)
	for _, peer := range most {
		addr := AddressFactory{}.FromText([]byte(peer.Name))
		usage.Peers = append(usage.Peers, PeerUsage{Address: nameOf(addr), Bytes: peer.Bytes})
	}

	return usage
}

// Reserve takes n bytes for what the owner of the sessions, such as an overlay, holds besides them.
// It returns false, and takes nothing, when fewer than n bytes are left. A nil budget has no limit.
func (b *MemoryBudget) Reserve(n int) bool {
	return b == nil || b.budget.Reserve(n)
}

// ReserveSpare is Reserve for data whose refusal would end a connection, such as the part of a
// message that has come. The budget has a quarter more room for such data.
func (b *MemoryBudget) ReserveSpare(n int) bool {
	return b == nil || b.budget.ReserveSpare(n)
}

// Release gives back n bytes that the caller has taken with Reserve or ReserveSpare.
func (b *MemoryBudget) Release(n int) {
	if b != nil {
		b.budget.Release(n)
	}
}

// ReserveFor is Reserve from the share of a peer, as for what the peer sends. The caller gives the
// bytes back by calling release once. A nil budget has no limit.
func (b *MemoryBudget) ReserveFor(peer mino.Address, n int) (release func(), ok bool) {
	if b == nil {
		return func() {}, true
	}

	name := shareOf(peer)
	part := b.shares.Join(name)

	if !part.Reserve(n) {
		b.shares.Leave(name)

		return nil, false
	}

	return func() {
		part.Release(n)
		b.shares.Leave(name)
	}, true
}
