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
//   - With TLS, which is the default, nobody is believed who does not prove who it is.
//     Both ends of a connection show that they have the key of the certificate that the
//     other one has in its store for their address; the gateway of a stream and the sender
//     of a call are that address, or the call is refused. In a stream a node takes for
//     a parent only the one who opened it there, and those whom this one has named as
//     its ancestors, and packets from nobody but neighbours.
//   - A node with TLS does not dial plain grpc:// addresses, which prove nothing, unless
//     [AllowUnauthenticatedPeers] lets it.
//     It dials an https:// address only if its operator has named it ([WithHTTPSPeers] or the
//     store), and keeps to itself what a failed dial has said.
//   - WHO HAS SENT A MESSAGE OF A STREAM IS AS TRUE AS THE MEMBERS ON ITS WAY ARE: the address that
//     Recv returns is what they have passed on. The parent of a node is proved; see [ParentOf].
//     An orchestrator takes messages of its players alone.
//   - The certificate of a node is replaced by that of another key only by who runs the
//     node that stores it.
//
// SECURITY.md says what is not promised: a member of the network is trusted with what
// passes through it. With [NoTLS] and [AllowUnauthenticatedPeers] who can reach a node can
// talk to it, in any name.
//
// # Joining
//
// A node trusts those whose certificates its store holds, see the certs package. It begins
// with its own. The others come in by [Minogrpc.Join], with a token of a node that lets
// them in, and the digest by which they recognise that one. What its operator passes on:
//
//	token := alice.GenerateToken(time.Hour)
//	digest, err := alice.GetCertificateStore().Hash(alice.GetCertificateChain())
//	fmt.Println(alice.GetAddress(), token, hex.EncodeToString(digest))
//
// And what the one who joins does with it:
//
//	store, err := certs.NewDiskStore(folder, minogrpc.NewAddressFactory())
//	bob, err := minogrpc.NewMinogrpc(listen, nil, router,
//		minogrpc.WithStorage(store), minogrpc.WithCertificateKey(key, nil))
//	where, err := url.Parse("grpcs://192.0.2.7:2000") // what GetAddress of alice prints
//	digest, err := hex.DecodeString(text)
//	err = bob.Join(where, token, digest)
//
// From then on the two, and all that alice knows, know each other. A node is its key: with
// the same one, the store and the address bob is the same node after a restart, and with a
// new one it is another node, that nobody knows. The same node may join again without a
// token, to learn what it has missed.
//
// # Limits
//
// What passes a limit is refused with ResourceExhausted, and bad input with
// InvalidArgument; both cost nobody but the one who sent it. Where the sender can
// know it, nothing is sent at all.
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
// Headers are counted before they are decoded, and charged to the memory of the node when they are
// large. Compressed messages are refused.
//
// A connection may take 10 seconds for its handshakes, and is closed when nobody has
// called over it for 5 minutes. It serves 4,096 calls beside its streams at once. The
// flow-control windows are 4 MiB per stream and 8 MiB per connection.
package minogrpc
