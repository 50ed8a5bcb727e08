package trust

import (
	"errors"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// secureKinds are the first letters of the text of a follower with TLS.
var secureKinds = []string{"FB", "FC"}

var errTooManyPeers = errors.New("no room for the certificate of another node")

// makeRoomLocked returns an error when there is no room for one more address. It counts the store
// only when the store looks full: the operator adds and deletes, too.
func (p *Peers) makeRoomLocked() error {
	if p.room > 0 {
		return nil
	}

	p.room = p.Max
	err := p.Store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		p.room--

		if peer, err := host.PeerOf(addr); err == nil {
			p.spellLocked(peer)
		}

		return true
	})

	if p.room <= 0 {
		return errors.Join(errTooManyPeers, err)
	}

	return nil
}

// checkTwinLocked returns an error when the store has another key for the same host and port, with the
// other kind of TLS or in another spelling. Protocols compare the addresses that Recv returns without
// the kind. So a message of one node would pass for a message of the other.
func (p *Peers) checkTwinLocked(addr session.Address, chain certs.CertChain) error {
	key := spelling.Key(addr.GetDialAddress())
	hosts := []string{addr.GetDialAddress(), key}

	if other, found := p.spellings[key]; found {
		hosts = append(hosts, other)
	}

	for _, host := range hosts {
		for _, kind := range secureKinds {
			stored, err := p.Store.Load(session.AddressFactory{}.FromText([]byte(kind + host)))
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

// spellLocked notes an address whose text is not the key of its spellings: checkTwinLocked would not
// find it otherwise. One address for each key is enough, because all of them have the same
// certificate key.
func (p *Peers) spellLocked(addr session.Address) {
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
