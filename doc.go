// Package session runs one node's part in a distributed RPC.
//
// In a distributed RPC one node, the orchestrator, opens a stream to a first player,
// and from there a tree of streams grows to all the other players, as messages need
// it. Every node that takes part holds a [Session], through which a protocol sends
// to any of the players and receives from any of them, whatever lies between.
//
// # What it promises
//
// Failure. Every destination of every Send has exactly one outcome. Either the
// message has been put into the queue of the session at the destination, or one
// [*DeliveryError] on the channel that Send returns names the destination, the
// [Reason], the node that gave up and the cause. The channel is closed when the last
// outcome is known, by the outcome deadline at the latest ([WithOutcomeTimeout]). Nothing
// blocks if the caller does not read it. If a neighbour is lost on the way of a message, the
// session sends the message by another route, where the routing table has one.
//
// Truth. Every reason but [ReasonTimeout] says that no copy of the message was delivered, or will be.
// The outcome is a timeout when the deadline passes, and when a copy was handed over to a neighbour
// that was lost, closed or silent before it answered: then the loss is the cause. If no copy is out
// of sight in that way, there is no timeout before the deadline.
//
// Order. The queue of a session is first in, first out. What one session sends to one
// player arrives in the order of the Send calls, awaited or not, as long as every link
// on the way is a duplex link. Over links of calls two messages that are on their way at
// the same time may arrive in either order. Over any link a message that is sent after the
// outcome of another is known arrives after that. A session recognises a second copy of a
// message that came from a session of this package, and does not deliver it again; see
// [WithoutRetry] for where other implementations take part.
//
// Concurrency. All methods of a session may be called from several goroutines at
// once. Send serializes the message before it returns, and keeps neither the message nor
// the slice of addresses. It waits for nothing: goroutines of the session make connections
// and wait for slow neighbours. A neighbour that does not answer costs what goes through it,
// and nothing else. The packets that wait are bounded, in number and in bytes, both for the
// reader ([WithQueueLimits]) and for each neighbour ([WithOutboxLimits]). A session does not
// slow its senders down: past a bound the outcome is [ReasonOverflow], and the message is
// gone.
//
// End. Close is idempotent and may be called at any moment. It leaves nothing behind:
// [Lifecycle] tells when the last goroutine, stream and connection is gone. Recv gives
// what is in the queue first, and then io.EOF, or the cause of an unclean end.
//
// A panic in foreign code (a factory, a routing table, a relay or an observer) ends the
// session, with the panic for its cause, and not the process.
//
// # The parts
//
// The orchestrator opened the stream, and the players take part in it. Both can be on
// one node, and are two addresses then: see [Address]. A session has one or more
// parents, the neighbours that the stream came from, and children, to which it opens
// streams itself when the first packet is for them. The stream to a neighbour is its
// health check: a neighbour whose stream ends counts as gone.
//
// When a child is lost, its routing table tells who was behind it, and the session
// becomes their parent. They wait for that: a session whose last parent is gone without a
// goodbye is an orphan for the time of [WithAdoptionGrace]. Its handler goes on, and what it
// sends upwards waits. Without a new parent the session closes when the time is over. After
// a goodbye it closes at once, and after the loss of a parent that promised none within a
// second ([WithGoodbye]). The root is the one node that a stream cannot do without.
//
// A [Relay] carries packets to one neighbour. Between nodes of this library [DialRelay]
// and [AcceptRelay] make the two ends of a duplex link, which carries packets and their
// outcomes in both directions. For nodes that do not know such links there are two
// kinds. [NewRelay] makes a call for each packet, whose answer has the outcomes: between two
// players, and from the orchestrator to the first player. [NewStreamRelay] writes the packets to
// the stream, from the first player to the orchestrator, which takes no calls; no outcomes come
// back either.
//
// A [router.RoutingTable] decides which neighbour is next for each destination. Each
// registration of a parent has its own. A packet from a parent only goes down, and a packet
// from a child never goes back to it. When a child is lost, the session tells the table, and
// routes again what the child had not answered.
//
// # For the author of a protocol
//
// Protocols see [mino.Sender] and [mino.Receiver] alone, and get them from an overlay,
// such as the one in package minogrpc. An error on the channel of Send is for
// [errors.As]:
//
//	for err := range out.Send(msg, players...) {
//		var failure *session.DeliveryError
//		if errors.As(err, &failure) && failure.Reason == session.ReasonOverflow {
//			slowDown(failure.Destination)
//		}
//	}
//
// The address that Recv returns is equal to that of the player and, for a message of
// the orchestrator, leads back to it when it is given to Send. As the key of a map use
// its [KeyOf].
//
// # For the author of an overlay
//
// Package host does all that follows, for all the streams of a node, and its example is a whole
// overlay in 80 lines. The rest is for overlays that use sessions alone.
//
// An overlay offers the service of package ptypes. The metadata keys are constants here, such as
// [StreamIDKey], and docs/wire.md says which call has which. The overlay has one session for each
// stream that its node takes part in. When a neighbour calls Stream, the overlay does this:
//
//  1. It makes the relay. A neighbour that offers a duplex link gets one from [AcceptRelay].
//     Any other neighbour is an existing node: [NewStreamRelay] is for an orchestrator, which
//     sends no handshake, and [NewRelay] for a player. The gateway of an orchestrator goes
//     through [NewOrchestratorAddress], or no answer finds it.
//  2. It makes the routing table: of the handshake under [HandshakeKey] or, at the root, of the
//     players in the metadata, which do not name the root. A stream that resumes a link has a
//     table already, and is registered with nil.
//  3. It finds the session of the stream, or makes it with [NewSession]. An adoption is
//     one more registration in a session that is there. The overlay refuses the stream with
//     FailedPrecondition if it resumes a link and there is no session, or if the stream has
//     ended on this node. It remembers ended streams for some minutes, so that late openers
//     cannot restart them.
//  4. It calls Register. After that it sends the response header, for which the parent waits,
//     and starts the handler, unless that runs already: before there is a parent, there is no
//     route for what the handler sends. When Register returns an error, the overlay refuses the
//     stream with FailedPrecondition.
//  5. It calls Wait. Then the stream is over. Its status is OK where [Lifecycle] Err is nil, and
//     otherwise an error that says why.
//
// With a duplex relay, without checks:
//
//	relay, _ := session.AcceptRelay(stream, gateway, md)
//
//	registration, err := sess.(session.Registrar).Register(relay, table)
//	if err != nil {
//		return status.Error(codes.FailedPrecondition, err.Error())
//	}
//
//	relay.Accept()
//	startHandler(sess)
//	registration.Wait()
//
//	return statusOf(sess.(session.Lifecycle).Err())
//
// Accept sends the response header; a session does so by itself before its first frame.
// With the other relays the overlay sends one without metadata. Listen does the same as Register
// and Wait in one call; existing overlays use it.
//
// The session of the orchestrator is one more. Its own address is that of its node from
// [NewOrchestratorAddress], its parent is the first player, and its table is that of no
// players: router.New(mino.NewAddresses(), me). The overlay registers the relay of
// [DialRelay], and gives the session to the application when Register has returned.
// [ConnOpener] opens the streams to the root. It gives the relay the connection of the stream, too,
// because an existing root takes packets in calls alone.
//
// gRPC does not tell a stream that its caller cancels from one whose connection breaks. An
// overlay that can tell implements [ConnectedStream]: a session then ends at once when an
// existing parent cancels, and otherwise waits a second for another parent.
//
// Packets that come in calls go to RecvPacket. Its Ack is the answer to the call, and its error has the
// status of one.
// The session reads the packets that come over the parent's stream; SetPassive is for an
// overlay that reads the stream itself.
//
// An overlay that knows who its callers are makes its sessions with [WithNeighborsOnly],
// and gives RecvPacket and the relays the addresses that it has verified. It still has to
// decide who may open, resume or adopt a stream: to a session whoever is registered is a
// parent.
//
// The sessions of NewSession implement [Lifecycle]: CloseRecv is for the end of the
// handler, after which the node goes on relaying, CloseWithError for a cause that Recv
// is to return, Leave for a node that goes away while the stream goes on, and Done for
// the overlay that has to wait.
//
// An [Observer] learns what a session does, for logs, metrics and tests.
package session
