package trust

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/ptypes"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// shareTimeout is how long one node may take to hear of a newcomer. sharePeriod is how long the
	// newcomer waits until all have been told.
	shareTimeout = 5 * time.Second
	sharePeriod  = 2 * time.Second

	// MaxShares is how many nodes are told of a newcomer at once. Each may need a new connection.
	MaxShares = 128

	// A node that does not know this one yet is told again after a short pause, which doubles up
	// to the long one, while the newcomer waits.
	shortPause = 25 * time.Millisecond
	longPause  = 100 * time.Millisecond

	// A node that cannot be reached is told later: after a pause that doubles, some times.
	firstPause = time.Second
	maxPauses  = 10
)

// Shares tell the other nodes of newcomers that this node has let in.
type Shares struct {
	peers *Peers
	host  *host.Host

	// tell shares a chain with one node, by a call. Its error has the status of the call.
	tell func(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain) error

	mu sync.Mutex
	// current has the newcomers that the others are being told of.
	current map[session.Address]chan struct{}
}

// NewShares returns the shares of a node. tell shares a chain with one node; its error has a status. The
// tasks run on the host, and end when it stops.
func NewShares(peers *Peers, on *host.Host,
	tell func(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain) error,
) *Shares {
	return &Shares{peers: peers, host: on, tell: tell, current: make(map[session.Address]chan struct{})}
}

// Begin starts to tell the others of a newcomer.
func (s *Shares) Begin(newcomer session.Address, chain *ptypes.CertificateChain) {
	done := make(chan struct{})

	s.mu.Lock()
	s.current[newcomer] = done
	s.mu.Unlock()

	end := func() {
		s.mu.Lock()
		defer s.mu.Unlock()

		close(done)

		// The newcomer may have come again with a newer certificate.
		if s.current[newcomer] == done {
			delete(s.current, newcomer)
		}
	}

	started := s.host.Go(host.Task{Name: "introduction of a newcomer"}, func() {
		defer end()

		_ = s.peers.contain(func() error {
			s.share(newcomer, chain)

			return nil
		})
	})
	if !started {
		end()
	}
}

// Done returns a channel that is closed when the others have been told of a newcomer. It is closed
// already if nobody is being told.
func (s *Shares) Done(newcomer session.Address) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()

	done, found := s.current[newcomer]
	if !found {
		done = make(chan struct{})
		close(done)
	}

	return done
}

// share tells the other nodes of a newcomer. When it returns, it has tried all nodes in the store, or
// the time is over. A task tries those again that it could not reach.
func (s *Shares) share(newcomer session.Address, chain *ptypes.CertificateChain) {
	ctx, cancel := context.WithTimeout(s.host.Stopping(), sharePeriod)
	defer cancel()

	told := map[session.Address]bool{s.peers.Me: true, newcomer: true}

	var missed []session.Address

	// It looks at the store again after it has told the others. Otherwise two nodes would miss each
	// other that two members let in at the same time.
	for ctx.Err() == nil {
		next := s.untold(told)
		if len(next) == 0 {
			break
		}

		missed = append(missed, s.tellAll(ctx, next, chain, true)...)
	}

	missed = append(missed, s.untold(told)...)
	if len(missed) > 0 {
		s.host.Go(host.Task{Name: "introduction of a newcomer"}, func() { s.tellLater(missed, chain) })
	}
}

// untold returns the nodes in the store that are not in told, and adds them to told.
func (s *Shares) untold(told map[session.Address]bool) []session.Address {
	next := slices.DeleteFunc(s.peers.members(), func(addr session.Address) bool { return told[addr] })
	for _, addr := range next {
		told[addr] = true
	}

	return next
}

// sleep waits, and returns false when the context is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// tellLater tries the missed nodes again, for some minutes. It leaves out hearsay: a member could name
// addresses of third parties, and this node would dial them all that time.
func (s *Shares) tellLater(missed []session.Address, chain *ptypes.CertificateChain) {
	for pause := firstPause; pause < firstPause<<maxPauses && len(missed) > 0; pause *= 2 {
		if !sleep(s.host.Stopping(), pause) {
			return
		}

		missed = s.tellAll(s.host.Stopping(), slices.DeleteFunc(missed, s.peers.hearsay.has), chain, false)
	}

	for _, addr := range missed {
		s.peers.Logger.Warn().Stringer("peer", addr).Bytes("newcomer", chain.GetAddress()).
			Msg("a node could not be told about a newcomer")
	}
}

// tellAll shares a chain with the nodes. It returns those that do not know of it then. If it is patient,
// it tells a node again that does not know this one yet: that node may be on its way in itself.
func (s *Shares) tellAll(ctx context.Context, nodes []session.Address, chain *ptypes.CertificateChain, patient bool,
) (missed []session.Address) {
	var group errgroup.Group

	group.SetLimit(MaxShares)

	told := make([]bool, len(nodes))

	for i, addr := range nodes {
		group.Go(func() error {
			var again bool

			for pause := shortPause; ; pause = min(2*pause, longPause) {
				told[i], again = s.tellOnce(ctx, addr, chain)
				if !patient || !again || !sleep(ctx, pause) {
					return nil
				}
			}
		})
	}

	_ = group.Wait() // The results are in told.

	for i, addr := range nodes {
		if !told[i] {
			missed = append(missed, addr)
		}
	}

	return missed
}

// tellOnce shares a chain with one node. told says that the node has understood. Otherwise again says
// whether to tell it again soon.
func (s *Shares) tellOnce(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain,
) (told, again bool) {
	err := s.peers.contain(func() error {
		ctx, cancel := context.WithTimeout(ctx, shareTimeout)
		defer cancel()

		return s.tell(ctx, addr, chain)
	})
	if err != nil {
		s.peers.Logger.Debug().Err(err).Stringer("peer", addr).Msg("newcomer not shared")
	}

	switch status.Code(err) {
	case codes.OK, codes.AlreadyExists:
		// A node that has another key for the newcomer has understood, too.
		return true, false
	case codes.PermissionDenied, codes.ResourceExhausted:
		return false, true
	default:
		return false, false
	}
}
