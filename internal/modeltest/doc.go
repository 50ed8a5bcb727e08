// Package modeltest has only tests. They compare whole trees of nodes with a model of what they
// promise, in random cases: what is sent, by whom and to whom, and what goes wrong
// meanwhile. The nodes are those of the overlay, on a network in memory and in
// virtual time.
//
// The model does not predict what happens. It knows what must hold whatever
// happens:
//
//   - Every Send is settled by its deadline, with at most one error for each
//     destination, and none for anybody else.
//   - A destination without an error has received the message. One with any reason but a
//     timeout has not, and never does.
//   - A session receives a message once at most, and after those whose outcome its
//     sender knew before it was sent; where all the links are duplex, after all those
//     that were sent before it.
//   - What is wrong elsewhere costs nothing: where nothing has been wrong between
//     a sender, a receiver and the orchestrator, messages arrive, and at once.
//   - When nothing is wrong any more, everybody who still takes part is reached.
//   - After the end nothing is left: no handler, no connection, no goroutine.
//
// In a quarter of the cases about half of the nodes are existing ones (internal/existing). The
// others are all of this library. The links are duplex in some cases, calls in others, and
// mixed in the rest. In a third of the cases the nodes prove to each other who they are, but
// for the existing ones.
//
// The model promises less in two respects. Where some links carry a call for each packet, it
// does not promise the order of messages that nobody awaits, nor that a message for several
// destinations does not wait behind others of that kind, for about a second on each node.
// And an existing node is what it is:
//
//   - What it says has failed is no proof, and its sends have no deadline.
//   - It answers for a packet when all that is below it has answered.
//   - After a failure on its way, a message may arrive twice: it does not know copies.
//   - Its session ends with its parents, and the streams to its children with the session.
//   - It gives a child up for good.
//   - Nobody answers what a root sends to its orchestrator, if either is an existing node.
//
// A failure prints the case, and what happened when. Which goroutine runs first is
// not part of the case: for a failure that comes and goes, -again=20 plays each case
// twenty times, so that a small one can still be found. -rapid.seed repeats the
// cases, -rapid.checks sets their number, and `make soak` plays new ones for long.
package modeltest
