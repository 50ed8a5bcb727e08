// Package trust decides who is who: which certificate proves that a node is the one at an address.
//
// [Own] is the certificate of this node. [Peers] are the nodes that this node knows. A [Guard] checks
// the other ends of connections, and ends the connections of a node that is not believed any more.
// [Shares] tell the other nodes of a newcomer. A [Policy] says what a valid certificate is.
//
// [Peers.Learn] is the only way from the network into the store of certificates. Unless authorities
// decide, it never replaces a certificate by one of another key. Only an operator, who writes to the
// store directly, can do that.
//
// The store, the keys and the functions of an operator may panic. The package contains that where it
// runs in a goroutine of its own or of gRPC; elsewhere the caller contains it. All types may be used
// from several goroutines at once.
package trust
