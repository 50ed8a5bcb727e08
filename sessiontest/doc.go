// Package sessiontest helps to test whatever is built on sessions.
//
// A [Network] is a network in memory. Overlays and protocols run on it as over sockets, also inside a
// bubble of testing/synctest. [TestRouter] is a conformance test: it checks whether a router does what
// the router package asks of it, whatever the shape of its routes. [Depths] shows that shape.
//
// [Cluster] starts nodes on such a network in one line, and stops them when the test ends.
//
// A test can script faults in virtual time. The methods of [Network] make the faults of a link, those of
// [Nodes] the faults of a node, and a [Peer] is a hostile or faulty neighbour.
//
// The package imports testing. Use it in tests, or in packages that serve tests.
package sessiontest
