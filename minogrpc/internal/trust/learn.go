package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxDecisions is how often this node decides anew what to store for an address, while others store
// something else there.
const maxDecisions = 8

var (
	errBusy      = errors.New("others store certificates for it all the time")
	errNotStored = errors.New("store certificate")
)

// Origin says what a node knows of a chain beside the chain.
type Origin struct {
	// Proved says that the node at the address has just shown that it has the key of the chain.
	// Otherwise only another node says so.
	Proved bool
	// Asked says that this node asked for the chain. Such a chain may also replace a damaged one. A
	// member that shares a chain must not use the damage to replace a key.
	Asked bool
}

// Learn adds a chain from the network to the store, unless the store has another key for the address.
// It tells whether that has changed the store. [StatusOf] has the statuses of its errors.
func (p *Peers) Learn(addr session.Address, chain certs.CertChain, from Origin) (changed bool, err error) {
	leaf, err := CheckChain(addr, chain)
	if err != nil {
		return false, err
	}

	if err = p.CheckLearned(addr, chain); err != nil {
		return false, err
	}

	// Only a node that believes authorities needs the rest of the chain, which would go into each
	// answer to a Join.
	if !p.Policy.ByAuthority {
		chain = leaf.Raw
	}

	changed, isNew, err := p.replace(addr, chain, leaf, from.Asked)

	switch {
	case from.Proved && err == nil:
		p.hearsay.proved(addr)
	case isNew:
		p.hearsay.add(addr)
	}

	if changed {
		p.keyring.add(addr, leaf)

		if p.Learned != nil {
			p.Learned(addr)
		}
	}

	return changed, err
}

// replace decides whether to store a chain, and stores it. It verifies signatures without the lock. So
// it decides again if another goroutine has stored another chain meanwhile.
func (p *Peers) replace(addr session.Address, chain certs.CertChain, leaf *x509.Certificate, repair bool,
) (changed, isNew bool, err error) {
	for range maxDecisions {
		stored, err := p.Store.Load(addr)
		if repair && errors.Is(err, certs.ErrDamaged) {
			changed, err = p.storeAfter(addr, nil, chain, certs.ErrDamaged)

			return changed, false, err
		}

		if err != nil {
			return false, false, fmt.Errorf("load certificate of %v: %w", addr, err)
		}

		isNew = len(stored) == 0
		if !isNew {
			newer, err := p.supersedes(addr, stored, chain, leaf)
			if err != nil || !newer {
				return false, false, err
			}
		}

		changed, err = p.storeAfter(addr, stored, chain, nil)
		if changed || err != nil {
			return changed, isNew && changed, err
		}
	}

	return false, false, fmt.Errorf("certificate of %v: %w", addr, errBusy)
}

// supersedes tells whether a chain should replace the stored one.
func (p *Peers) supersedes(addr session.Address, stored, chain certs.CertChain, leaf *x509.Certificate,
) (bool, error) {
	if bytes.Equal(stored, chain) {
		return false, nil
	}

	newer, err := p.renews(stored, chain, leaf)
	if err != nil {
		return false, fmt.Errorf("certificate of %v: %w", addr, err)
	}

	// Nobody else knows better what this node's own certificate is.
	return newer && addr != p.Me, nil
}

// storeAfter stores a chain if the store still has what the caller has seen there. damage is the error
// that the caller has seen, or nil.
func (p *Peers) storeAfter(addr session.Address, seen, chain certs.CertChain, damage error) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	stored, err := p.Store.Load(addr)
	if damage != nil && errors.Is(err, damage) {
		err = nil
	}

	if err != nil || !bytes.Equal(stored, seen) {
		return false, err
	}

	// A damaged chain has its room already.
	isNew := damage == nil && len(stored) == 0
	if isNew {
		if err = p.makeRoomLocked(); err == nil {
			err = p.checkTwinLocked(addr, chain)
		}

		if err != nil {
			return false, fmt.Errorf("certificate of %v: %w", addr, err)
		}
	}

	if err = p.Store.Store(addr, chain); err != nil {
		return false, fmt.Errorf("%w of %v: %w", errNotStored, addr, err)
	}

	if isNew {
		p.room--
		p.spellLocked(addr)
	}

	return true, nil
}

// renews tells whether a chain should replace the stored one because it is newer. With authorities the
// key does not matter, and CheckLearned has verified the chain.
func (p *Peers) renews(stored, chain certs.CertChain, leaf *x509.Certificate) (bool, error) {
	if !p.Policy.ByAuthority {
		return renews(stored, chain, leaf)
	}

	var last time.Time // A chain that cannot be read serves nobody, and any other is newer.

	if list, malformed := x509.ParseCertificates(stored); malformed == nil && len(list) > 0 {
		last = list[0].NotAfter
	}

	return leaf.NotAfter.After(last), nil
}

// learnAll adds the chains that another node has told, until the context is done. It leaves out chains
// that cannot be added.
func (p *Peers) learnAll(ctx context.Context, chains []*ptypes.CertificateChain) error {
	var failed int

	for i, chain := range chains {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d certificates have not been learned: %w", len(chains)-i, len(chains), ctx.Err())
		}

		addr, err := host.ReadAddress("of a peer", string(chain.GetAddress()))
		if err == nil {
			_, err = p.Learn(addr, chain.GetValue(), Origin{Asked: true})
		}

		// The other chains could not be stored either: the disk is full, or read-only.
		if errors.Is(err, errNotStored) {
			return fmt.Errorf("%d of %d certificates have not been learned: %w", len(chains)-i, len(chains), err)
		}

		if err != nil {
			failed++

			p.Logger.Debug().Err(err).Msg("certificate of a peer not learned")
		}
	}

	// One line for all: another node decides how many there are.
	if failed > 0 {
		p.Logger.Warn().Int("certificates", failed).Msg("not all the certificates of a join could be learned")
	}

	return nil
}

// StatusOf returns an error of [CheckChain], [Peers.CheckLearned] or [Peers.Learn] with its status. It
// returns nil for nil.
func StatusOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOtherKey):
		return status.Error(codes.AlreadyExists, err.Error())
	case errors.Is(err, errTooManyPeers):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, errUntrusted):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, errBadChain):
		return status.Error(codes.InvalidArgument, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}
