package minogrpc

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// A keyring reads the whole store when it sees a key that it does not know. It does so
// once in a second at most, and for no more than a fiftieth of the time: a stranger with
// a new key for each connection must not keep the node busy with it.
const (
	keyringAge   = time.Second
	keyringShare = 50
)

// keyring tells whether a key belongs to any node in the store, before its owner has said
// who it is. It may be behind the store, in which others write, for a moment. That decides
// only how much the owner may send before its first call.
type keyring struct {
	mu sync.Mutex
	// sums are the keys of all the certificates, with a node of each, and chains what they were
	// read from, so that each is parsed once.
	sums   map[keySum]mino.Address
	chains map[mino.Address]readChain
	// next is when the store may be read again.
	next time.Time
}

// keySum stands for the key of a certificate.
type keySum [sha256.Size]byte

// readChain is a chain of the store that has been parsed.
type readChain struct {
	chain certs.CertChain
	sum   keySum
}

// knows tells whether the key of the certificate is in the store.
func (k *keyring) knows(store certs.Storage, leaf *x509.Certificate) bool {
	sum := sumOf(leaf)

	if k.holds(store, sum) {
		return true
	}

	before, ok := k.begin()
	if ok {
		k.finish(read(store, before))
	}

	return ok && k.holds(store, sum)
}

// holds tells whether the store still has the key, as far as has been read where to look for it. An
// operator may have removed the node just now.
func (k *keyring) holds(store certs.Storage, sum keySum) bool {
	k.mu.Lock()
	addr, found := k.sums[sum]
	before := k.chains[addr]
	k.mu.Unlock()

	if !found {
		return false
	}

	chain, err := store.Load(addr)

	return err == nil && parse(chain, before).sum == sum
}

// add notes a key that has been stored for a node just now.
func (k *keyring) add(addr mino.Address, leaf *x509.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.sums == nil {
		k.sums = make(map[keySum]mino.Address)
	}

	k.sums[sumOf(leaf)] = addr
}

// begin tells whether the store may be read, and returns what was read before, which
// does not change. Nobody else begins until that is finished.
func (k *keyring) begin() (map[mino.Address]readChain, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()

	now := time.Now()
	if now.Before(k.next) {
		return nil, false
	}

	k.next = now.Add(keyringAge)

	return k.chains, true
}

// finish takes over what has been read since the start.
func (k *keyring) finish(chains map[mino.Address]readChain, started time.Time) {
	sums := make(map[keySum]mino.Address, len(chains))
	for addr, chain := range chains {
		sums[chain.sum] = addr
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	k.sums, k.chains = sums, chains
	k.next = started.Add(max(keyringAge, keyringShare*time.Since(started)))
}

// read returns what is in the store. What it cannot read is nobody's key.
func read(store certs.Storage, before map[mino.Address]readChain) (map[mino.Address]readChain, time.Time) {
	started := time.Now()
	chains := make(map[mino.Address]readChain, len(before))

	_ = store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		chains[addr] = parse(chain, before[addr])

		return true
	})

	return chains, started
}

// parse returns a chain of the store. It does nothing if that is what was there before.
func parse(chain certs.CertChain, before readChain) readChain {
	if len(chain) > 0 && bytes.Equal(before.chain, chain) {
		return before
	}

	parsed := readChain{chain: chain}

	if list, err := x509.ParseCertificates(chain); err == nil && len(list) > 0 {
		parsed.sum = sumOf(list[0])
	}

	return parsed
}

func sumOf(cert *x509.Certificate) keySum {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}
