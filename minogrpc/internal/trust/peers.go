package trust

import (
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/rs/zerolog"
)

// Config is what a node gives to its [Peers].
type Config struct {
	// Me is the address of the node.
	Me session.Address

	Store  certs.Storage
	Policy Policy

	// Max is the number of certificates in the store up to which others may add to it.
	Max int

	// MaxAnswer is the size of the largest answer to a Join, in bytes.
	MaxAnswer int

	// Learned is called when the store has got a new certificate from the network. It may be nil.
	Learned func(mino.Address)

	Logger zerolog.Logger
}

// Peers are the nodes that a node knows. They own what the network adds to the store: nothing may get
// between the look at what is stored for an address and the decision to replace it.
type Peers struct {
	Config

	keyring keyring
	hearsay hearsay

	// replies has a place for each answer to a Join that is put together.
	replies chan struct{}

	mu sync.Mutex
	// room is for how many more addresses there is room. Zero means that nobody has counted.
	room int
	// spellings has a host and port in the store by the key of its spellings, where that is
	// another text. It has what was counted and learned.
	spellings map[string]string
}

// NewPeers returns the peers that are in the store.
func NewPeers(c Config) *Peers {
	return &Peers{Config: c, replies: make(chan struct{}, maxReplies)}
}

// members returns the nodes in the store.
func (p *Peers) members() []session.Address {
	var addrs []session.Address

	err := p.Store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		if peer, err := host.PeerOf(addr); err == nil {
			addrs = append(addrs, peer)
		}

		return true
	})
	if err != nil {
		p.Logger.Warn().Err(err).Msg("the store cannot read all of the certificates")
	}

	return addrs
}

// review tells the operator at the start which certificates cannot be read.
func (p *Peers) review() {
	err := p.Store.Range(func(mino.Address, certs.CertChain) bool { return true })
	if err != nil {
		p.Logger.Warn().Err(err).Msg("certificates that cannot be read: join again to repair them")
	}
}

// contain runs what somebody else has passed to the node. A panic is an error, and is logged.
func (p *Peers) contain(fn func() error) error {
	return contain.Logged(p.Logger, fn)
}
