package minogrpc

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
)

// chainOverhead is what protobuf puts in front of each chain of an answer, at most.
const chainOverhead = 8

// maxDecisions is how often it is decided what is to be stored for an address, while others store
// something else there.
const maxDecisions = 8

// maxRSA is the size of the largest RSA key, in bits. To verify what a larger one has signed costs
// too much; crypto/tls has the same bound.
const maxRSA = 8192

// secureKinds are the first letters of the text of a follower with TLS.
var secureKinds = []string{"FB", "FC"}

var (
	errBusy         = errors.New("others store certificates for it all the time")
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
	// spellings has a host and port in the store by the key of its spellings, where that is
	// another text. It has what was counted and learned.
	spellings map[string]string
	// shares are the newcomers that the others are being told of.
	shares map[session.Address]chan struct{}
}

// origin says what a node knows of a chain beside the chain.
type origin struct {
	// proved is for a chain whose key the node at the address has just shown to have. Otherwise only
	// another node says so.
	proved bool
	// asked is for a chain that this node asked for itself. It may also take the place of a damaged
	// one: a member must not use the damage to replace a key.
	asked bool
}

// learn adds a chain that comes from the network to the store, unless another key is
// stored for the address. It tells whether that has changed anything.
func (m *Minogrpc) learn(addr session.Address, chain certs.CertChain, from origin) (changed bool, err error) {
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

	changed, isNew, err := m.replace(addr, chain, leaf, from.asked)

	switch {
	case from.proved && err == nil:
		m.hearsay.proved(addr)
	case isNew:
		m.hearsay.add(addr)
	}

	if changed {
		m.keyring.add(addr, leaf)
		m.learned(addr)
	}

	return changed, err
}

// replace stores a chain where that is right. Signatures are verified without the lock, so that
// the decision is made again when somebody else has stored another chain meanwhile.
func (m *Minogrpc) replace(addr session.Address, chain certs.CertChain, leaf *x509.Certificate, repair bool,
) (changed, isNew bool, err error) {
	for range maxDecisions {
		stored, err := m.store.Load(addr)
		if repair && errors.Is(err, certs.ErrDamaged) {
			changed, err = m.storeAfter(addr, nil, chain, certs.ErrDamaged)

			return changed, false, err
		}

		if err != nil {
			return false, false, fmt.Errorf("load certificate of %v: %w", addr, err)
		}

		isNew = len(stored) == 0
		if !isNew {
			newer, err := m.supersedes(addr, stored, chain, leaf)
			if err != nil || !newer {
				return false, false, err
			}
		}

		changed, err = m.storeAfter(addr, stored, chain, nil)
		if changed || err != nil {
			return changed, isNew && changed, err
		}
	}

	return false, false, fmt.Errorf("certificate of %v: %w", addr, errBusy)
}

// supersedes tells whether a chain is to take the place of the one that is stored.
func (m *Minogrpc) supersedes(addr session.Address, stored, chain certs.CertChain, leaf *x509.Certificate,
) (bool, error) {
	if bytes.Equal(stored, chain) {
		return false, nil
	}

	newer, err := m.renews(stored, chain, leaf)
	if err != nil {
		return false, fmt.Errorf("certificate of %v: %w", addr, err)
	}

	// What the node says of itself nobody else knows better.
	return newer && addr != m.me, nil
}

// storeAfter stores a chain if what is stored is still what the caller has seen, which may be
// that it is damaged.
func (m *Minogrpc) storeAfter(addr session.Address, seen, chain certs.CertChain, damage error) (bool, error) {
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()

	stored, err := m.store.Load(addr)
	if damage != nil && errors.Is(err, damage) {
		err = nil
	}

	if err != nil || !bytes.Equal(stored, seen) {
		return false, err
	}

	// What is damaged has its room already.
	isNew := damage == nil && len(stored) == 0
	if isNew {
		if err = m.makeRoomLocked(); err == nil {
			err = m.checkTwinLocked(addr, chain)
		}

		if err != nil {
			return false, fmt.Errorf("certificate of %v: %w", addr, err)
		}
	}

	if err = m.store.Store(addr, chain); err != nil {
		return false, fmt.Errorf("%w of %v: %w", errNotStored, addr, err)
	}

	if isNew {
		m.peers.room--
		m.peers.spellLocked(addr)
	}

	return true, nil
}

// renews tells whether a chain is to take the place of another one. For an authority the key
// does not matter, and checkLearned has asked it.
func (m *Minogrpc) renews(stored, chain certs.CertChain, leaf *x509.Certificate) (bool, error) {
	if !m.trust.byAuthority {
		return renews(stored, chain, leaf)
	}

	var last time.Time // What cannot be read serves nobody, and anything is newer.

	if list, malformed := x509.ParseCertificates(stored); malformed == nil && len(list) > 0 {
		last = list[0].NotAfter
	}

	return leaf.NotAfter.After(last), nil
}

// checkTwinLocked returns an error when another key is stored for the same host and port with
// the other kind of TLS, or in another spelling. Protocols compare the addresses that Recv returns
// without the kind: what comes from the one would pass for a message of the other.
func (m *Minogrpc) checkTwinLocked(addr session.Address, chain certs.CertChain) error {
	key := spelling.Key(addr.GetDialAddress())
	hosts := []string{addr.GetDialAddress(), key}

	if other, found := m.peers.spellings[key]; found {
		hosts = append(hosts, other)
	}

	for _, host := range hosts {
		for _, kind := range secureKinds {
			stored, err := m.store.Load(NewAddressFactory().FromText([]byte(kind + host)))
			if err != nil {
				return err
			}

			if len(stored) == 0 {
				continue
			}

			same, err := certs.SameKey(stored, chain)
			if err == nil && !same {
				err = errOtherKey
			}

			if err != nil {
				return err
			}
		}
	}

	return nil
}

// spellLocked notes an address whose text is not the key of its spellings, as which nobody would
// look for it. One for each key is enough: all of them have the same certificate key.
func (p *peers) spellLocked(addr session.Address) {
	host := addr.GetDialAddress()

	key := spelling.Key(host)
	if key == host {
		return
	}

	if p.spellings == nil {
		p.spellings = make(map[string]string)
	}

	p.spellings[key] = host
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

// makeRoomLocked returns an error when there is no room for one more address. What the operator
// adds and deletes is counted when it looks full.
func (m *Minogrpc) makeRoomLocked() error {
	if m.peers.room > 0 {
		return nil
	}

	m.peers.room = m.maxPeers
	err := m.store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		m.peers.room--

		if peer, err := host.PeerOf(addr); err == nil {
			m.peers.spellLocked(peer)
		}

		return true
	})

	if m.peers.room <= 0 {
		return errors.Join(errTooManyPeers, err)
	}

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

	if key, ok := list[0].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
		return nil, fmt.Errorf("%w for %v: an RSA key of more than %d bits", errBadChain, addr, maxRSA)
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

		addr, err := host.ReadAddress("of a peer", string(chain.GetAddress()))
		if err == nil {
			_, err = m.learn(addr, chain.GetValue(), origin{asked: true})
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
