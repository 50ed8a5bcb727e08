// Package session runs one node's part in a distributed RPC.
//
// In a distributed RPC one node, the orchestrator, opens a stream to a first player. From there a
// tree of streams grows to all the other players, as messages need it. Every node that takes part
// holds a [Session]. Through it a protocol sends to any player and receives from any player,
// whatever nodes lie between them.
//
// # What it promises
//
// Failure. Every destination of every Send has exactly one outcome. Either the message has been put
// into the queue of the session at the destination, or the channel that Send returns carries one
// [*DeliveryError]. That error names the destination, the [Reason], the node that gave up and the
// cause. The session closes the channel when the last outcome is known, by the outcome deadline at
// the latest ([WithOutcomeTimeout]). Nothing blocks if the caller does not read the channel. If a
// neighbour on the message's path is lost, the session sends the message by another route, if the
// routing table has one.
//
// Truth. Every reason but [ReasonTimeout] says that no copy of the message was delivered, and that
// none will be. The outcome is a timeout in two cases: when the deadline passes, and when the
// session handed a copy to a neighbour that was lost, closed or silent before it answered. In the
// second case the loss is the cause. If there is no such copy, the session reports no timeout
// before the deadline.
//
// Order. The queue of a session is first in, first out. Messages from one session to one player
// arrive in the order of the Send calls, awaited or not, as long as every link on the way is a
// duplex link. Over links that make a call for each packet, two messages that are on their way at
// the same time may arrive in either order. Over any link, a message that is sent after the outcome
// of another is known arrives after that other. A session recognises a second copy of a message
// that came from a session of this package, and does not deliver it again; see [WithoutRetry] for
// streams in which other implementations take part.
//
// Concurrency. All methods of a session may be called from several goroutines at once. Send
// serializes the message before it returns, and keeps neither the message nor the slice of
// addresses. It waits for nothing: goroutines of the session make connections and wait for slow
// neighbours. A neighbour that does not answer delays only what goes through it. The session bounds
// the packets that wait, in number and in bytes, both for the reader ([WithQueueLimits]) and for
// each neighbour ([WithOutboxLimits]). It does not slow its senders down: past a bound the outcome
// is [ReasonOverflow], and the message is dropped.
//
// End. Close is idempotent and may be called at any moment. It leaves nothing behind: [Lifecycle]
// tells when the last goroutine, stream and connection is gone. Recv first returns what is in the
// queue, and then io.EOF or the cause of an unclean end. A [*MessageError] of Recv is no end: the next
// Recv returns the next message.
//
// A panic in foreign code (a factory, a routing table, a relay or an observer) ends the session
// with that panic as its cause. It does not end the process.
//
// # The parts
//
// The orchestrator opened the stream, and the players take part in it. One node can be both; it
// then has two addresses: see [Address]. A session has one or more parents, the neighbours that
// opened the stream to it. It also has children: it opens a stream to a child itself when it has
// the first packet for that child. The stream to a neighbour is also its health check: a neighbour
// whose stream ends counts as gone.
//
// When a session loses a child, the routing table tells which nodes were behind it, and the session
// becomes their parent. They wait for that: a session whose last parent is gone without a goodbye
// is an orphan for the time of [WithAdoptionGrace]. Its handler goes on, and what it sends upwards
// waits. If no new parent comes in that time, the session closes. After a goodbye it closes at
// once, and after the loss of a parent that promised no goodbye it closes within a second
// ([WithGoodbye]). The root is the one node that a stream cannot do without.
//
// A [Relay] carries packets to one neighbour. Between nodes of this library [DialRelay] and
// [AcceptRelay] make the two ends of a duplex link, which carries packets and their outcomes in
// both directions. An existing node, one of an older implementation, does not know duplex links.
// For such nodes there are two other relays. [NewRelay] makes a call for each packet, and the
// answer has the outcomes. It is for packets between two players, and from the orchestrator to the
// first player. [NewStreamRelay] writes the packets to the stream. It is for packets from the first
// player to the orchestrator, which takes no calls; it brings no outcomes back.
//
// A [router.RoutingTable] decides which neighbour is next for each destination. Each registration
// of a parent has its own table. A packet from a parent only goes down, and a packet from a child
// never goes back to that child. When a child is lost, the session tells the table, and routes
// again the packets that the child had not answered.
//
// # For the author of a protocol
//
// Protocols use only [mino.Sender] and [mino.Receiver]. They get them from an overlay, the code
// that runs the sessions of a node, such as package minogrpc. A protocol inspects an error from the
// channel of Send with [errors.As]:
//
//	for err := range out.Send(msg, players...) {
//		var failure *session.DeliveryError
//		if errors.As(err, &failure) && failure.Reason == session.ReasonOverflow {
//			slowDown(failure.Destination)
//		}
//	}
//
// The address that Recv returns equals that of the player. A message of the orchestrator has an
// address that leads back to the orchestrator when it is given to Send. Use [KeyOf] of an address
// as the key of a map.
//
// # For the author of an overlay
//
// Package host does everything below, for all the streams of a node, and its example is a whole
// overlay in 80 lines. The rest of this section is for overlays that use sessions without that
// package.
//
// An overlay offers the service of package ptypes. The metadata keys are constants here, such as
// [StreamIDKey], and docs/wire.md says which call has which. The overlay has one session for each
// stream that its node takes part in. When a neighbour calls Stream, the overlay does this:
//
//  1. It makes the relay. For a neighbour that offers a duplex link it calls [AcceptRelay]. Any
//     other neighbour is an existing node: the overlay calls [NewStreamRelay] for an orchestrator,
//     which sends no handshake, and [NewRelay] for a player. It passes the gateway of an
//     orchestrator through [NewOrchestratorAddress]; otherwise no answer finds it.
//  2. It makes the routing table. It uses the handshake under [HandshakeKey] or, at the root, the
//     players in the metadata, which do not name the root. A stream that resumes a link already has
//     a table; the overlay registers it with nil.
//  3. It finds the session of the stream, or makes it with [NewSession]. An adoption is one more
//     registration in an existing session. The overlay refuses the stream with FailedPrecondition
//     if the stream resumes a link and there is no session, or if the stream has ended on this
//     node. It remembers ended streams for some minutes, so that late openers cannot restart them.
//  4. It calls Register. After that it sends the response header, for which the parent waits, and
//     starts the handler, unless the handler already runs. It must not start the handler earlier:
//     before there is a parent, there is no route for what the handler sends. When Register returns
//     an error, the overlay refuses the stream with FailedPrecondition.
//  5. It calls Wait. When Wait returns, the stream is over. Its status is OK if [Lifecycle] Err is
//     nil, and otherwise an error that says why.
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
// Accept sends the response header; the session sends it before its first frame if Accept has not.
// With the other relays the overlay sends a header without metadata. Listen does the same as
// Register and Wait in one call; existing overlays use it.
//
// The orchestrator has a session of its own. Its own address is that of its node from
// [NewOrchestratorAddress], its parent is the first player, and its table is that of no players:
// router.New(mino.NewAddresses(), me). The overlay registers the relay of [DialRelay], and gives
// the session to the application when Register has returned. [ConnOpener] opens the streams to the
// root. It also gives the relay the connection of the stream, because an existing root takes
// packets only in calls.
//
// gRPC reports a stream that its caller cancels like one whose connection breaks. An overlay that
// can tell them apart implements [ConnectedStream]: a session then ends at once when an existing
// parent cancels, and otherwise waits a second for another parent.
//
// The overlay passes packets that come in calls to RecvPacket. The Ack that it returns is the
// answer to the call, and its error has the gRPC status of the call. The session reads the packets
// that come over the parent's stream; SetPassive is for an overlay that reads the stream itself.
//
// An overlay that verifies its callers makes its sessions with [WithNeighborsOnly], and gives
// RecvPacket and the relays the addresses that it has verified. It still has to decide who may
// open, resume or adopt a stream: a session takes every registered neighbour for a parent.
//
// The sessions of NewSession implement [Lifecycle]. The overlay calls CloseRecv when the handler
// ends, after which the node goes on relaying; CloseWithError to give Recv a cause to return; Leave
// when the node goes away while the stream goes on; and Done to wait for the end.
//
// An [Observer] learns what a session does, for logs, metrics and tests.
package session
