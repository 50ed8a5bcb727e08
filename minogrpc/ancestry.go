package minogrpc

import (
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
)

// ParentOf tells a handler who its parent is: the node that has opened the stream here, or that has
// adopted this node since. Pass the [mino.Receiver] or the [mino.Sender] of the handler. At the root
// of the tree the address is that of the orchestrator; see [session.FollowerOf]. The address is nil
// while there is no parent, and for a value that does not come from a stream of a host.
//
// isProved is true on a node with TLS that serves no unauthenticated peers. The parent has then proved
// that it is the node at that address; see [WithTrust]. Otherwise the address is what the parent says.
//
// A node knows nothing else by itself. THE SENDER OF A MESSAGE IS AS TRUE AS THE MEMBERS ON ITS WAY
// ARE: Recv returns the address that the parent, or a child, has passed on. A parent can invent
// messages of every node that is not below this one, and a child messages of the nodes behind it. A
// protocol that must not trust the other players signs its messages.
func ParentOf(stream any) (parent mino.Address, isProved bool) {
	return host.ParentOf(stream)
}
