// Package protocol has typed procedures for the authors of protocols, over any overlay of package mino.
//
// Every node calls [Define] with the same name and types, and a [Play], which says what the node does as a
// player. Any node can then ask all players with [Procedure.Gather], which yields exactly one [Result] of each
// player, and [Quorum] takes the first k good ones. [Procedure.Open] is for protocols of several rounds. In a stream
// the players can ask one another, too.
//
// docs/tutorial.md in the repository goes from an empty folder to a tested protocol in ten steps.
//
// What the package promises:
//
//   - Every player of a gathering has exactly one result: its answer, or a [*PlayerError] with a [Reason].
//     Nobody waits for a player that is known to be gone. The address is the caller's own value.
//   - An answer belongs to its request. What comes late, twice, or from a player that was not asked is
//     ignored. The sender of an answer is as true as the players on its way are honest; see [mino.Receiver].
//   - Nothing that a node sends is trusted. Requests that cannot be decoded are refused, and answers are
//     [ReasonBadAnswer]. Decoding never gives a nil pointer, and a panic of a codec's Unmarshal is an error.
//   - At most 256 messages are under way to one destination ([WithWindow]), and at most 1024 requests and 16 MiB wait
//     for the play of a stream.
//   - A panic in a play is contained as that of any handler. A stream leaves no goroutine behind: that of
//     a player ends with its play, and that of an orchestrator with its context.
//
// Messages are [JSON] unless [WithCodec] says otherwise; package protobuf below this one has a codec for
// messages of protobuf, and [Types] one for requests or answers of several types. A bad codec is no danger to
// others: all nodes of a procedure must have the same, and other bytes are refused.
package protocol
