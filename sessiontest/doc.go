// Package sessiontest is for the tests of everything that is built on sessions.
//
// It has a network in memory, in which overlays and protocols run as they do over
// sockets, also inside a bubble of testing/synctest, and a conformance test for
// routers: [TestRouter] checks whether a router keeps what the router package asks
// of it, whatever the shape of its routes. [Depths] shows that shape.
//
// What goes wrong can be scripted in virtual time: the faults of a link are methods
// of [Network], and a hostile or faulty neighbour is a [Peer].
//
// The package imports testing and belongs into tests, or into the packages that
// serve them.
package sessiontest
