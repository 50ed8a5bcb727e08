package host

import (
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxAncestors is how many nodes there may be above a gateway: as many as a tree may be
// high.
const maxAncestors = 64

// maxOrchestrator bounds the text of the address of an orchestrator, in bytes: each node remembers it, and
// sends it to all its children. A host name has at most 253.
const maxOrchestrator = 512

// ancestor is a node above this one in the tree of a stream. The same node may also be
// the orchestrator, and has other rights then.
type ancestor struct {
	addr         session.Address
	orchestrator bool
}

// lineage are the nodes that may be a parent in a stream: the one that has opened it here, and the
// ancestors that this one names, which look after the players below a node that is lost.
// It does not grow: a node that adopts this one is one of them, and so are all that are above.
type lineage []ancestor

// has tells whether a node may be a parent. Nil stands for any node.
func (l lineage) has(who ancestor) bool {
	return l == nil || slices.Contains(l, who)
}

// caller returns the node that opens a stream.
func (in *incoming) caller() ancestor {
	return ancestor{addr: in.gateway, orchestrator: in.role() == RoleOrchestrator}
}

// lineageOf returns the nodes that may be a parent in the stream that the caller opens. Where the
// callers have not proved who they are there is nothing to hold on to.
func (h *Host) lineageOf(in *incoming) lineage {
	if h.policy.Lineage != OnlyNamedParents {
		return nil
	}

	l := lineage{in.caller()}
	for _, addr := range in.ancestors {
		l = append(l, ancestor{addr: addr})
	}

	return l
}

// nameAncestors tells the children which nodes are above them. The orchestrator is not: it has a
// session of its own, and never looks after any node but the root.
func (in *incoming) nameAncestors(md metadata.MD) {
	if in.caller().orchestrator {
		return
	}

	for _, addr := range append([]session.Address{in.gateway}, in.ancestors...) {
		md.Append(session.AncestorKey, textOf(addr))
	}
}

// readAncestors reads which nodes are above the gateway. The errors have a status.
func readAncestors(md metadata.MD) ([]session.Address, error) {
	texts := md.Get(session.AncestorKey)
	if len(texts) > maxAncestors {
		return nil, status.Errorf(codes.InvalidArgument, "more than %d ancestors", maxAncestors)
	}

	addrs := make([]session.Address, 0, len(texts))

	for _, text := range texts {
		addr, err := ReadAddress(session.AncestorKey, text)
		if err != nil {
			return nil, err
		}

		addrs = append(addrs, addr)
	}

	return addrs, nil
}

// readOrchestrator reads which node has opened the stream. An orchestrator need not say it. The error
// has a status.
func (in *incoming) readOrchestrator() (*session.Address, error) {
	if in.role() == RoleOrchestrator {
		return &in.gateway, nil
	}

	texts := in.md.Get(session.OrchestratorKey)

	switch {
	case len(texts) == 0:
		return nil, nil // An existing node is on the way.
	case len(texts) > 1 || !isTellable(texts[0]):
		return nil, status.Errorf(codes.InvalidArgument, "%s must be one address of at most %d bytes",
			session.OrchestratorKey, maxOrchestrator)
	}

	addr, err := ReadAddress(session.OrchestratorKey, texts[0])
	if err != nil {
		return nil, err
	}

	return &addr, nil
}

// nameOrchestrator tells the children which node has opened the stream. They would refuse an address that
// is too long.
func (in *incoming) nameOrchestrator(md metadata.MD) {
	if in.orchestrator == nil {
		return
	}

	if text := textOf(*in.orchestrator); isTellable(text) {
		md.Set(session.OrchestratorKey, text)
	}
}

// isTellable tells whether the text of an orchestrator's address can travel to the children.
func isTellable(text string) bool {
	return len(text) <= maxOrchestrator && isPrintable(text)
}

// ParentOf tells a handler which node is its parent: the one that has opened the stream here, or that
// has adopted this node since. It takes what the handler was given as its [mino.Receiver] or
// [mino.Sender]. The address is that of an orchestrator at the root of the tree; see
// [session.FollowerOf].
//
// It is proved, and isProved true, if the host takes only named parents, which makes sense if its
// [Policy] identifies them. Otherwise it is what the parent says. The address is nil while there is
// no parent, and for anything that is not of a stream of a host.
func ParentOf(part any) (parent mino.Address, isProved bool) {
	st, ok := part.(*stream)
	if !ok {
		return nil, false
	}

	parent = st.Parent()

	return parent, parent != nil && st.parents != nil
}
