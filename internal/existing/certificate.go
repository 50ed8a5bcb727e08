package existing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"
)

// NewCertificate returns a certificate that a host has signed itself, valid for a day. In a
// bubble it must be made there.
func NewCertificate(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}

	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Chain returns the certificates that the node presents, the first one first, nil without
// TLS.
func (n *Node) Chain() []byte {
	if n.cfg.Certificate == nil {
		return nil
	}

	return slices.Concat(n.cfg.Certificate.Certificate...)
}

// Digest returns what another node must be told to recognise this one when it joins.
func Digest(chain []byte) []byte {
	sum := sha256.Sum256(chain)

	return sum[:]
}

// Trust stores the certificates of another node.
func (n *Node) Trust(addr Address, chain []byte) { n.store.Put(addr, chain) }

// Known returns the certificates that the node holds for an address, or nil.
func (n *Node) Known(addr Address) []byte { return n.store.get(addr) }

// Store has the certificates of the nodes that others believe. Several nodes may share one.
type Store struct {
	mu     sync.Mutex
	chains map[Address][]byte
}

// NewStore returns a store that knows nobody.
func NewStore() *Store {
	return &Store{chains: make(map[Address][]byte)}
}

// Put stores the certificates of a node.
func (s *Store) Put(addr Address, chain []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.chains[addr.Follower()] = chain
}

func (s *Store) get(addr Address) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.chains[addr.Follower()]
}

// all returns what the store holds, as it travels.
func (s *Store) all() []certificateChain {
	s.mu.Lock()
	defer s.mu.Unlock()

	list := make([]certificateChain, 0, len(s.chains))
	for addr, chain := range s.chains {
		list = append(list, certificateChain{address: []byte(addr), value: chain})
	}

	return list
}

// pool returns what the node at the address must prove to have.
func (s *Store) pool(addr Address) (*x509.CertPool, error) {
	chain := s.get(addr)
	if chain == nil {
		return nil, fmt.Errorf("no certificate of %v", addr)
	}

	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("certificate of %v: %w", addr, err)
	}

	pool := x509.NewCertPool()
	for _, cert := range list {
		pool.AddCert(cert)
	}

	return pool, nil
}
