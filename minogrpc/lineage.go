package minogrpc

import (
	"slices"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxAncestors is how many nodes there may be above a gateway: as many as a tree may be
// high.
const maxAncestors = 64

// ancestor is a node above this one in the tree of a stream. The same node may also be
// the orchestrator, as whom it has other rights.
type ancestor struct {
	addr         session.Address
	orchestrator bool
}

// lineage are those who may be a parent in a stream: who has opened it here, and the
// ancestors that this one names, who look after the players below a node that is lost.
// It does not grow: who adopts a node is one of them, and so are all that are above.
type lineage []ancestor

// has tells whether somebody may be a parent. Nil stands for everybody.
func (l lineage) has(who ancestor) bool {
	return l == nil || slices.Contains(l, who)
}

// caller returns who opens a stream.
func (in *incoming) caller() ancestor {
	return ancestor{addr: in.gateway, orchestrator: len(in.md.Get(session.HandshakeKey)) == 0}
}

// lineageOf returns who may be a parent in the stream that the caller opens. Where the
// callers have not proved who they are there is nothing to hold on to.
func (m *Minogrpc) lineageOf(in *incoming) lineage {
	if !m.strict() {
		return nil
	}

	l := lineage{in.caller()}
	for _, addr := range in.ancestors {
		l = append(l, ancestor{addr: addr})
	}

	return l
}

// nameAncestors tells the children who is above them. The orchestrator is not: it has a
// session of its own, and never looks after anybody but the root.
func (in *incoming) nameAncestors(md metadata.MD) {
	if in.caller().orchestrator {
		return
	}

	for _, addr := range append([]session.Address{in.gateway}, in.ancestors...) {
		md.Append(session.AncestorKey, textOf(addr))
	}
}

// readAncestors reads who is above the gateway. The errors have a status.
func readAncestors(md metadata.MD) ([]session.Address, error) {
	texts := md.Get(session.AncestorKey)
	if len(texts) > maxAncestors {
		return nil, status.Errorf(codes.InvalidArgument, "more than %d ancestors", maxAncestors)
	}

	addrs := make([]session.Address, 0, len(texts))

	for _, text := range texts {
		addr, err := readAddress(session.AncestorKey, text)
		if err != nil {
			return nil, err
		}

		addrs = append(addrs, addr)
	}

	return addrs, nil
}
