package minogrpc

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// chainOverhead is what protobuf puts in front of each chain of an answer, at most.
const chainOverhead = 8

var (
	errTooManyPeers = errors.New("no room for the certificate of another node")
	errNotStored    = errors.New("store certificate")
	errBadChain     = errors.New("malformed certificate chain")
)

// peers guards what the network adds to the store: nobody may get between the look at
// what is stored for an address and the decision that it may be replaced.
type peers struct {
	mu sync.Mutex
	// room is for how many more addresses there is room, as far as that has been counted.
	room int
}

// learn adds a chain that comes from the network to the store, unless another key is
// stored for the address. It tells whether that has changed anything.
func (m *Minogrpc) learn(addr session.Address, chain certs.CertChain) (changed bool, err error) {
	return m.learnOrRepair(addr, chain, false)
}

// learnOrRepair is learn for a chain that may also take the place of a damaged one. That is for
// what this node asked for itself: a member must not use the damage to replace a key.
func (m *Minogrpc) learnOrRepair(addr session.Address, chain certs.CertChain, repair bool) (changed bool, err error) {
	leaf, err := checkChain(addr, chain)
	if err != nil {
		return false, err
	}

	if err = m.checkLearned(addr, chain); err != nil {
		return false, err
	}

	// By the rest of the chain nobody is known, and all of it would go into each answer
	// to a join. Only who believes authorities needs it.
	if !m.trust.byAuthority {
		chain = leaf.Raw
	}

	if changed, err = m.replace(addr, chain, leaf, repair); changed {
		m.keyring.add(leaf)
		m.learned(addr)
	}

	return changed, err
}

func (m *Minogrpc) replace(addr session.Address, chain certs.CertChain, leaf *x509.Certificate, repair bool,
) (bool, error) {
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()

	stored, err := m.store.Load(addr)

	switch {
	case repair && errors.Is(err, certs.ErrDamaged):
		err = nil // It has its room already.
	case err != nil:
		return false, fmt.Errorf("load certificate of %v: %w", addr, err)
	case bytes.Equal(stored, chain):
		return false, nil
	case len(stored) == 0:
		if err = m.checkTwin(addr, chain); err == nil {
			err = m.makeRoomLocked()
		}
	default:
		var newer bool

		// What the node says of itself nobody else knows better.
		newer, err = m.renews(stored, chain, leaf)
		if err == nil && (!newer || addr == m.me) {
			return false, nil
		}
	}

	if err != nil {
		return false, fmt.Errorf("certificate of %v: %w", addr, err)
	}

	if err = m.store.Store(addr, chain); err != nil {
		return false, fmt.Errorf("%w of %v: %w", errNotStored, addr, err)
	}

	return true, nil
}

// renews tells whether a chain is to take the place of another one. For an authority the key
// does not matter, and checkLearned has asked it.
func (m *Minogrpc) renews(stored, chain certs.CertChain, leaf *x509.Certificate) (bool, error) {
	if !m.trust.byAuthority {
		return renews(stored, chain, leaf)
	}

	list, err := x509.ParseCertificates(stored)
	if err != nil || len(list) == 0 {
		return true, nil
	}

	return leaf.NotAfter.After(list[0].NotAfter), nil
}

// checkTwin returns an error when another key is stored for the same host and port with
// the other kind of TLS. Protocols compare the addresses that Recv returns without the
// kind: what comes from the one would pass for a message of the other.
func (m *Minogrpc) checkTwin(addr session.Address, chain certs.CertChain) error {
	scheme := "https://"
	if addr.ConnectionType() == mino.ACThttps {
		scheme = "grpcs://"
	}

	stored, err := m.store.Load(session.NewAddress(scheme + addr.GetDialAddress()))
	if err != nil || len(stored) == 0 {
		return err
	}

	same, err := certs.SameKey(stored, chain)
	if err == nil && !same {
		err = errOtherKey
	}

	return err
}

// renews tells whether a chain is to take the place of another one of the same key. Who
// repeats an old one does not take the new one away. A certificate that its own key has
// not signed is anybody's, as the key in it is public: then the old one stays, by which the
// node is known as well.
func renews(stored, chain certs.CertChain, leaf *x509.Certificate) (bool, error) {
	same, err := certs.SameKey(stored, chain)
	if err != nil {
		return false, err
	}

	if !same {
		return false, errOtherKey
	}

	list, err := x509.ParseCertificates(stored)
	if err != nil {
		return false, err
	}

	signed := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil

	return signed && leaf.NotAfter.After(list[0].NotAfter), nil
}

// makeRoomLocked takes room for one more address, and returns an error when there is none.
// What the operator adds and deletes is counted when it looks full.
func (m *Minogrpc) makeRoomLocked() error {
	var err error

	if m.peers.room <= 0 {
		m.peers.room = m.maxPeers
		err = m.store.Range(func(mino.Address, certs.CertChain) bool {
			m.peers.room--

			return true
		})
	}

	if m.peers.room <= 0 {
		return errors.Join(errTooManyPeers, err)
	}

	m.peers.room--

	return nil
}

// checkChain returns the certificate of the node in a chain that may be stored for it.
func checkChain(addr session.Address, chain certs.CertChain) (*x509.Certificate, error) {
	if addr.ConnectionType() == mino.ACTgRPC {
		return nil, fmt.Errorf("%w: %v has no certificate", errBadChain, addr)
	}

	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("%w for %v: %d bytes, of 1 to %d", errBadChain, addr, len(chain), maxChain)
	}

	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("%w for %v: %w", errBadChain, addr, err)
	}

	if len(list[0].Raw) > maxLeaf {
		return nil, fmt.Errorf("%w for %v: the first certificate has more than %d bytes", errBadChain, addr, maxLeaf)
	}

	return list[0], nil
}

// learnAll adds what another node knows, in the time that there is. What cannot be added is
// left out.
func (m *Minogrpc) learnAll(ctx context.Context, chains []*ptypes.CertificateChain) error {
	var failed int

	for i, chain := range chains {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d certificates have not been learned: %w", len(chains)-i, len(chains), ctx.Err())
		}

		addr, err := readAddress("of a peer", string(chain.GetAddress()))
		if err == nil {
			_, err = m.learnOrRepair(addr, chain.GetValue(), true)
		}

		// The others are no better off: the disk is full, or cannot be written.
		if errors.Is(err, errNotStored) {
			return fmt.Errorf("%d of %d certificates have not been learned: %w", len(chains)-i, len(chains), err)
		}

		if err != nil {
			failed++

			m.logger.Debug().Err(err).Msg("certificate of a peer not learned")
		}
	}

	// One line for all, as another node decides how many there are.
	if failed > 0 {
		m.logger.Warn().Int("certificates", failed).Msg("not all the certificates of a join could be learned")
	}

	return nil
}

// chains returns what the store holds, as it travels: as much of it as fits into an
// answer. What it cannot read is left out.
func (m *Minogrpc) chains() []*ptypes.CertificateChain {
	var all []*ptypes.CertificateChain

	room := m.maxFrame()
	err := m.store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		peer, err := follower(addr)
		if err != nil {
			return true
		}

		next := &ptypes.CertificateChain{Address: []byte(textOf(peer)), Value: chain}

		room -= proto.Size(next) + chainOverhead
		if room >= 0 {
			all = append(all, next)
		}

		return room >= 0
	})
	if err != nil || room < 0 {
		m.logger.Warn().Err(err).Int("told", len(all)).Msg("not all the certificates can be told")
	}

	return all
}
