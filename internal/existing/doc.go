// Package existing is a model of a node of the implementation that this library has to live
// beside. Tests put it into one network with nodes of this library.
//
// The model is written from the description of the wire alone, and imports nothing of this
// module. It has its own protobuf, its own JSON and its own tree, so that it cannot repeat a
// mistake of the library. A test guards that.
//
// What the model does where a node of this library does something else:
//
//   - It sends every packet with Forward, in both directions: a child dials the address of
//     its parent. Only the root writes to a stream, and only to its orchestrator.
//   - It takes anything that comes over the stream of a parent for the end of that stream.
//   - It announces no link: it ignores session-link and sends no header keys.
//   - It says no goodbye. It cancels the streams to its children, and closes a connection
//     when the last user of it is gone.
//   - The session, the handler and the relaying all end with the last parent's stream. A new
//     stream with the same id is a new session with a new handler.
//   - It presents no certificate to those it calls.
//   - A join token lets in any number of nodes until it expires.
//
// All methods of [Node] and [Session] may be called from several goroutines at once. A packet
// arrives in the order of the sends if the sender awaits each one. A model works over TCP
// as well as in a network in memory and a bubble of testing/synctest.
package existing
