package certs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// errNoAddress is the error for a nil address.
var errNoAddress = errors.New("no address")

// InMemoryStore is a [Storage] that forgets everything when the process ends. Its methods may be used
// from several goroutines at once.
type InMemoryStore struct {
	watchers watchers

	mu sync.Mutex
	// chains is keyed by the follower form, which is the same value for all the forms of a node's
	// address.
	chains map[mino.Address]CertChain
}

// NewInMemoryStore returns an empty store.
func NewInMemoryStore() *InMemoryStore {
	return &InMemoryStore{chains: make(map[mino.Address]CertChain)}
}

// Store implements [Storage]. It copies the chain, and does not parse it. It returns an error for a nil
// address and for an empty chain, which Load would return as an unknown address.
func (s *InMemoryStore) Store(addr mino.Address, chain CertChain) error {
	if addr == nil {
		return errNoAddress
	}

	if len(chain) == 0 {
		return fmt.Errorf("store certificate of %v: %w", addr, errEmptyChain)
	}

	addr = session.FollowerOf(addr)

	s.mu.Lock()
	s.chains[addr] = bytes.Clone(chain)
	s.mu.Unlock()

	s.watchers.tell(addr)

	return nil
}

// Load implements [Storage]. The error is always nil.
func (s *InMemoryStore) Load(addr mino.Address) (CertChain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.chains[session.FollowerOf(addr)], nil
}

// Delete implements [Storage]. The error is always nil.
func (s *InMemoryStore) Delete(addr mino.Address) error {
	addr = session.FollowerOf(addr)

	s.mu.Lock()
	delete(s.chains, addr)
	s.mu.Unlock()

	if addr != nil {
		s.watchers.tell(addr)
	}

	return nil
}

// Range implements [Storage]. It goes through what the store holds when Range is called: the function
// may use the store, and Range does not see what changes meanwhile. The addresses are in their follower
// form. The error is always nil.
func (s *InMemoryStore) Range(fn func(addr mino.Address, cert CertChain) bool) error {
	s.mu.Lock()
	chains := maps.Clone(s.chains)
	s.mu.Unlock()

	for addr, chain := range chains {
		if !fn(addr, chain) {
			break
		}
	}

	return nil
}

// Watch implements [Watchable].
func (s *InMemoryStore) Watch(changed func(mino.Address)) (stop func()) {
	return s.watchers.watch(changed)
}

// Fetch implements [Storage]. The node has 10 seconds to accept the connection and to present its chain.
func (s *InMemoryStore) Fetch(addr Dialable, digest []byte) error {
	return fetchInto(s, addr, digest)
}

// Hash implements [Storage]. It returns the SHA-256 digest of all the bytes of the chain. The error is
// always nil.
func (s *InMemoryStore) Hash(chain CertChain) ([]byte, error) {
	return digestOf(chain), nil
}
