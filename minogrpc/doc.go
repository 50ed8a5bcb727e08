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
//   - A panic in a handler, a factory or a router is an error of that call or
//     stream.
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
// A message and what a router adds to it may take 64 MiB, the metadata of a stream,
// which names all its players, 16 MiB. The id of a stream may take 256 bytes. The
// flow-control windows are 4 MiB per stream and 8 MiB per connection.
package minogrpc
