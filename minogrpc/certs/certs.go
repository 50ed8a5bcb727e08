// Package certs keeps the certificates of the nodes of an overlay, by address.
//
// A node presents a certificate that nobody has to have signed, to those that it calls
// and to those that call it. The others know it because they hold it in their
// [Storage]: the node at an address is who has the key of the certificate that is stored
// for it, and nobody else is. Whoever can write to the storage of a node decides whom
// that node believes.
//
// An [InMemoryStore] forgets everything with the process, a [DiskStore] nothing.
// The storages of this package may be used from several goroutines at once.
package certs

import "github.com/minogrpc/session/mino"

// CertChain is a chain of certificates, the one of the node first: the
// concatenation of their ASN.1 DER forms, as x509.ParseCertificates reads it.
// Nobody changes the bytes of a chain.
type CertChain []byte

// Dialable is an address that a storage can connect to by itself.
type Dialable interface {
	mino.Address

	// GetDialAddress returns the host and port as net.Dial takes them.
	GetDialAddress() string
}

// Storage keeps one chain per node. The follower and the orchestrator form of an
// address, and the form that Recv returns, are the same node. Implementations must
// allow all methods from several goroutines at once.
type Storage interface {
	// Store keeps the chain for the address and replaces the one that was there,
	// whatever it is: whoever must not replace one with that of another key asks
	// [SameKey] first. An implementation may refuse a chain that is none.
	Store(mino.Address, CertChain) error

	// Load returns the chain of an address, or nil without an error when there is
	// none. The error wraps ErrDamaged when a Store would repair it.
	Load(mino.Address) (CertChain, error)

	// Delete forgets the chain of an address. It is no error when there is none.
	Delete(mino.Address) error

	// Range calls the function for each address with its chain, in no particular
	// order, until it returns false. The function may use the storage; whether it
	// then sees what changes while Range runs is up to the implementation.
	Range(func(addr mino.Address, cert CertChain) bool) error

	// Fetch asks the node at the address for the chain that it presents, and stores
	// it if the digest is the one of that chain; otherwise it returns an error and
	// stores nothing. It waits for the network, a bounded time.
	Fetch(Dialable, []byte) error

	// Hash returns the digest of a chain that Fetch expects.
	Hash(CertChain) ([]byte, error)
}
