package minogrpc

import (
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
)

// ParentOf tells a handler who its parent is: the node that has opened the stream here, or that has
// adopted this node since. It takes what the handler was given as its [mino.Receiver] or
// [mino.Sender]. The address is that of an orchestrator at the root of the tree; see
// [session.FollowerOf].
//
// It is proved, and isProved true, on a node with TLS that serves no unauthenticated peers: the
// parent has shown the key of the certificate that the store holds for that address. Otherwise it
// is what the parent says. The address is nil while there is no parent, and for anything that is
// not of a stream of this package.
//
// This is all that a node knows by itself. WHO HAS SENT A MESSAGE IS AS TRUE AS THE MEMBERS ON ITS
// WAY ARE: the address that Recv returns is what the parent, or a child, has passed on. A parent can
// make up messages of every node that is not below this one, a child those of the nodes behind it.
// A protocol that must not trust the other players signs its messages.
func ParentOf(stream any) (parent mino.Address, isProved bool) {
	return host.ParentOf(stream)
}
