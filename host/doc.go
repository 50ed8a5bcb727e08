// Package host runs all the RPCs of one node of an overlay: for each stream that the node takes part
// in it has a session, and for each procedure a handler.
//
// An overlay makes one [Host] for each of its nodes and serves it: a Host implements Stream and Forward of
// the service of package ptypes, and refuses the rest of it. The overlay adds servers, connections,
// certificates, and Call if it likes. The example of this package is a whole overlay; package
// minogrpc is a large one.
//
// What it promises:
//
//   - A stream has one handler per node, however many parents it gets. A handler starts when the
//     node has a parent, and every parent that is accepted gets one. The end of the handler is not
//     the end of the node's part: it goes on relaying until the stream ends. On the first node,
//     the root, a handler that fails ends the stream, and the orchestrator's Recv returns why.
//   - A handler that is a [mino.ContextHandler] gets a context. It is done when the session of the
//     stream is closed, and its cause is that of the end. A handler that receives with it first gets
//     what is queued. The context outlives a handler that returns earlier.
//   - A stream that has ended on a node stays ended there: the host refuses whoever opens it again,
//     and no second handler starts. It remembers the last 100,000 such streams, for 10 minutes.
//   - The context of [Procedure.Stream] bounds the set-up and the stream. A first player that accepts
//     the stream and never answers costs the caller the time of [session.WithSetupTimeout] at most.
//   - A panic in a handler, a factory, a router or a [Policy] is an error of that call or stream. A
//     node whose handler has panicked within the tree leaves the stream, and others look after
//     the players behind it.
//   - [Host.Stop] ends everything, and says what has not ended in time: procedure, stream and age.
//
// Without a [Policy] anybody may open streams, become a parent and send packets in any name.
package host
