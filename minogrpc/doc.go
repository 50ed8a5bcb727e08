// Package minogrpc is the overlay that ships with the library: nodes that run
// sessions over real gRPC servers, with or without TLS.
//
// A [Minogrpc] is one node: a host of package host, with a gRPC server, TLS, joining,
// limits and Call. It listens from [NewMinogrpc] on until [Minogrpc.GracefulStop] or
// [Minogrpc.Stop], which release everything that it holds. All its methods may be called
// from several goroutines at once.
//
// What it promises beyond the mino and session packages:
//
//   - A stream has one handler per node, however many parents the node gets. When the handler
//     ends, the node goes on relaying until the stream ends. On the first node, the root, a
//     handler that fails ends the stream, and the orchestrator's Recv returns why.
//   - A stream that has ended on a node stays ended there. The node refuses late openers, and
//     starts no second handler. It remembers the last 100,000 such streams, for 10 minutes.
//   - A panic in a handler, a factory, a router, a certificate store or a key is an error of
//     that call or stream. If a handler panics on a node within the tree, the node leaves the
//     stream, and other nodes look after the players below it.
//   - The TCP connections of a node notice within the liveness bound that a machine is gone, or
//     that the way to it is cut: see [WithLiveness].
//   - The end of the context of [mino.RPC] Stream ends the stream. The stream has up to a second
//     to send what waits. Then nothing of it is left.
//   - TLS is the default. With it a node believes nobody without a proof: each end of a
//     connection shows that it has the key of the certificate that the other end has in its
//     store for that address. The gateway of a stream and the sender of a call must be that
//     address, or the node refuses the call. In a stream a node accepts as a parent only the
//     node that opened the stream there, and the ancestors that this node has named. It takes
//     packets only from its neighbours.
//   - A node with TLS does not dial plain grpc:// addresses, which prove nothing, unless
//     [AllowUnauthenticatedPeers] lets it. It dials an https:// address only if its operator has
//     named it ([WithHTTPSPeers] or the store). It tells nobody why a dial failed.
//   - THE SENDER OF A MESSAGE IN A STREAM IS AS TRUE AS THE MEMBERS ON ITS WAY ARE: the address
//     that Recv returns is what those members have passed on. The parent of a node is proved; see
//     [ParentOf]. An orchestrator takes messages only of its players.
//   - Only the operator of a node can replace a certificate in its store by one of another key,
//     unless [Authorities] decide which certificates are valid.
//
// SECURITY.md says what is not promised: a node trusts the members of the network with the
// messages that pass through them. With [NoTLS] or [AllowUnauthenticatedPeers] anybody that
// reaches a node can talk to it, in any name.
//
// # Joining
//
// A node trusts the nodes whose certificates its store holds; see the certs package. At first it
// trusts only itself. Other nodes come in by [Minogrpc.Join]. They need a token of a member, which
// lets them in, and the digest of its certificate, by which they recognise it. The operator of the
// member passes both on:
//
//	token := alice.GenerateToken(time.Hour)
//	digest, err := alice.GetCertificateStore().Hash(alice.GetCertificateChain())
//	fmt.Println(alice.GetAddress(), token, hex.EncodeToString(digest))
//
// The operator of the newcomer uses them:
//
//	store, err := certs.NewDiskStore(folder, minogrpc.NewAddressFactory())
//	bob, err := minogrpc.NewMinogrpc(listen, nil, router,
//		minogrpc.WithStorage(store), minogrpc.WithCertificateKey(key, nil))
//	where, err := url.Parse("grpcs://192.0.2.7:2000") // what GetAddress of alice prints
//	digest, err := hex.DecodeString(text)
//	err = bob.Join(where, token, digest)
//
// From then on bob, alice and all the nodes that alice knows know each other. A node's identity is
// its key. With the same key, store and address bob is the same node after a restart. With a new
// key it is another node, which nobody knows. A member may join again without a token, to learn
// which nodes it has missed.
//
// # Limits
//
// A node refuses a call that passes a limit with ResourceExhausted, and bad input with
// InvalidArgument. Either costs only the sender. If the sender can know the limit, it sends
// nothing at all.
//
//	message, of a stream or a call           64 MiB   WithMaxMessageSize
//	metadata of a call                       16 MiB   WithMaxMetadata
//	players of a stream                     100,000   WithMaxPlayers
//	streams of a peer                         1,000   WithStreamLimits
//	streams of a host                        10,000   WithStreamLimits
//	connections of a host                    10,000   WithStreamLimits
//	set-ups of a host at once                 1,000   WithPendingLimit
//	failed handshakes of a host        100 a minute   WithHandshakeLimit
//	wrong tokens of a host              10 a minute   WithTokenLimit
//	wrong tokens of all hosts      100,000 a minute   WithTokenLimit
//	introductions by a host          1,000 a minute   WithIntroductionLimit
//	certificates that others add            100,000   WithMaxPeers
//	memory of the sessions of a node          1 GiB   WithMemory
//	of that, for one peer                 a quarter   WithPeerShare
//	certificate chain                        16 KiB
//	id of a stream                        256 bytes
//	connections of all hosts                 40,000   WithStreamLimits
//	strangers' connections of a host             32
//	strangers' connections of all hosts         256
//	bytes over a stranger's connection       64 KiB
//	headers of a stranger's call              8 KiB
//
// A host is an IPv4 address, or an IPv6 network of 64 bits. A stranger is a caller that is not
// in the store.
//
// A node counts headers before it decodes them, and charges large ones to its memory. It refuses
// compressed messages.
//
// A connection may take 10 seconds for its handshakes. The node closes it after 5 minutes without a
// call. A connection serves 4,096 calls at once beside its streams. The flow-control windows are
// 4 MiB per stream and 8 MiB per connection.
package minogrpc
