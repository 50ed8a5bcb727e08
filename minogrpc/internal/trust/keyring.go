package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// A keyring reads the whole store when it sees a key that it does not know. It does so at most once a
// second, and for at most a fiftieth of the time. Otherwise a stranger with a new key for each
// connection could keep the node busy.
const (
	keyringAge   = time.Second
	keyringShare = 50
)

// keyring tells whether a key belongs to any node in the store. A peer that connects has shown a key,
// and has not yet said which node it is. The keyring may be behind the store for a moment, because
// others write there. That decides only how much the peer may send before its first call.
type keyring struct {
	mu sync.Mutex
	// sums has a node for the key of each certificate, and chains what the keys were read from, so
	// that each chain is parsed once.
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

// knows tells whether the store has the key of the certificate.
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

// holds tells whether the store still has the key at the address where it was read. An operator may
// have removed the node just now.
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

// add notes a key that this node has just stored.
func (k *keyring) add(addr mino.Address, leaf *x509.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.sums == nil {
		k.sums = make(map[keySum]mino.Address)
	}

	k.sums[sumOf(leaf)] = addr
}

// begin tells whether the caller may read the store now. It returns what was read before, which
// does not change. Nobody else may read until the caller has finished.
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

// finish replaces the keys by those that the caller has read.
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

// read returns what is in the store. A chain that cannot be read is nobody's key.
func read(store certs.Storage, before map[mino.Address]readChain) (map[mino.Address]readChain, time.Time) {
	started := time.Now()
	chains := make(map[mino.Address]readChain, len(before))

	_ = store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		chains[addr] = parse(chain, before[addr])

		return true
	})

	return chains, started
}

// parse parses a chain of the store, unless the chain is the same as before.
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
