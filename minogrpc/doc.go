// Package minogrpc is the overlay that ships with the library: nodes that run
// sessions over real gRPC servers, with or without TLS.
//
// A [Minogrpc] is one node. It listens from [NewMinogrpc] on until
// [Minogrpc.GracefulStop] or [Minogrpc.Stop], which release everything that it
// holds. All its methods may be called from several goroutines at once.
//
// What it promises beyond the mino and session packages:
//
//   - A stream has one handler per node, however many parents it gets. The end of
//     the handler is not the end of the node's part: it goes on relaying until the
//     stream ends. On the first node, the root, a handler that fails ends the
//     stream, and the orchestrator's Recv returns why.
//   - A stream that has ended on a node stays ended there: whoever opens it again is
//     refused, and no second handler starts. The node remembers the last 100,000
//     such streams, for 10 minutes.
//   - A panic in a handler, a factory, a router, a certificate store or a key is an
//     error of that call or stream. A node whose handler has panicked within the
//     tree leaves the stream, and others look after the players behind it.
//   - A machine that is gone, or the way to it, is noticed within the liveness bound
//     by the TCP of the others: see [WithLiveness].
//   - The context of [mino.RPC] Stream ends the stream. What is on its way is given
//     up to a second, then everything of it is gone.
//
// Without [NoTLS] a node presents a certificate, and a client believes the node at
// an address only if it presents what the client's certificate store holds for it:
// see the certs package. The clients do not prove who they are: who can reach a
// node can talk to it.
//
// # Limits
//
// What passes a limit is refused with ResourceExhausted, and bad input with
// InvalidArgument; both cost nobody but the one who sent it. Where the sender can
// know it, nothing is sent at all.
//
//	message, of a stream or a call      64 MiB   WithMaxMessageSize
//	metadata of a call                  16 MiB   WithMaxMetadata
//	players of a stream                100,000   WithMaxPlayers
//	streams of a peer                    1,000   WithStreamLimits
//	streams of a host                   10,000   WithStreamLimits
//	connections of a host               10,000   WithStreamLimits
//	set-ups of a host at once            1,000   WithPendingLimit
//	memory of the sessions of a node     1 GiB   WithMemory
//	id of a stream                   256 bytes
//
// A connection may take 10 seconds for its handshakes, and is closed when nobody has
// called over it for 5 minutes. It serves 4,096 calls beside its streams at once. The
// flow-control windows are 4 MiB per stream and 8 MiB per connection.
package minogrpc
