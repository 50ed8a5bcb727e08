// Package certs keeps the certificates of the nodes of an overlay, by address.
//
// A node presents its certificate to the nodes that it calls and to those that call it. Nobody has to
// sign the certificate: the other nodes have it in their [Storage]. The node at an address is the one
// that has the key of the certificate in the storage for that address. So anybody who can write to the
// storage of a node decides which nodes that node believes.
//
// An [InMemoryStore] forgets everything when the process ends. A [DiskStore] keeps everything. The
// storages of this package may be used from several goroutines at once.
package certs

import "github.com/minogrpc/session/mino"

// CertChain is a chain of certificates: their ASN.1 DER forms, one after the other, as
// x509.ParseCertificates reads them. The first certificate is that of the node. Do not change the bytes
// of a chain.
type CertChain []byte

// Dialable is an address to which a storage can connect by itself.
type Dialable interface {
	mino.Address

	// GetDialAddress returns the host and the port in the form of net.Dial.
	GetDialAddress() string
}

// Storage keeps one chain per node. An address may have the form of a follower, of an orchestrator, or
// the one that Recv returns: all stand for the same node. Several goroutines may call the methods of an
// implementation at once.
type Storage interface {
	// Store keeps the chain for the address. It replaces any chain that was there, also one of another
	// key: a caller that must not do that asks [SameKey] first. An implementation may refuse a
	// malformed chain.
	Store(mino.Address, CertChain) error

	// Load returns the chain of the address, or nil and no error if there is none. The error wraps
	// ErrDamaged if a Store would repair the damage.
	Load(mino.Address) (CertChain, error)

	// Delete forgets the chain of the address. If there is none, that is no error.
	Delete(mino.Address) error

	// Range calls the function for each address with its chain, in any order, until the function
	// returns false. The function may use the storage. The implementation decides whether Range sees
	// changes that happen meanwhile.
	Range(func(addr mino.Address, cert CertChain) bool) error

	// Fetch connects to the node at the address and stores the chain that the node presents, if the
	// chain has the digest. Otherwise it returns an error and stores nothing. It waits for the network
	// for a bounded time.
	Fetch(Dialable, []byte) error

	// Hash returns the digest of a chain, as Fetch expects it.
	Hash(CertChain) ([]byte, error)
}
