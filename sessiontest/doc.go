// Package sessiontest is for the tests of everything that is built on sessions.
//
// It has a network in memory, in which overlays and protocols run as they do over
// sockets, also inside a bubble of testing/synctest, and a conformance test for
// routers: [TestRouter] checks whether a router keeps what the router package asks
// of it, whatever the shape of its routes. [Depths] shows that shape.
//
// [Cluster] starts nodes on such a network in one line, and stops them when the test ends.
//
// What goes wrong can be scripted in virtual time: the faults of a link are methods
// of [Network], those of a node methods of [Nodes], and a hostile or faulty neighbour is a [Peer].
//
// The package imports testing and belongs into tests, or into the packages that
// serve them.
package sessiontest
