package minogrpc

import (
	"context"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// shareTimeout is how long one node may take to hear of a newcomer, and sharePeriod
	// how long the newcomer waits until all have been asked.
	shareTimeout = 5 * time.Second
	sharePeriod  = 2 * time.Second

	// maxSetUps is how many connections to others a node sets up at once, and maxShares how many
	// of them are for telling of newcomers. The rest is for the streams.
	maxSetUps = 512
	maxShares = maxSetUps / 4

	// A node that does not know this one yet is told again after a short pause, which doubles up
	// to the long one, while the newcomer waits.
	shortPause = 25 * time.Millisecond
	longPause  = 100 * time.Millisecond

	// A node that cannot be reached is told later: after a pause that doubles, some times.
	firstPause = time.Second
	maxPauses  = 10
)

// beginShare starts to tell the others about a newcomer.
func (m *Minogrpc) beginShare(newcomer session.Address, chain *ptypes.CertificateChain) {
	done := make(chan struct{})

	m.peers.mu.Lock()
	if m.peers.shares == nil {
		m.peers.shares = make(map[session.Address]chan struct{})
	}

	m.peers.shares[newcomer] = done
	m.peers.mu.Unlock()

	end := func() {
		m.peers.mu.Lock()
		defer m.peers.mu.Unlock()

		close(done)

		// The newcomer may have come again with a newer certificate.
		if m.peers.shares[newcomer] == done {
			delete(m.peers.shares, newcomer)
		}
	}

	started := m.host.Go(host.Task{Name: "introduction of a newcomer"}, func() {
		defer end()

		_ = m.contain(func() error {
			m.share(newcomer, chain)

			return nil
		})
	})
	if !started {
		end()
	}
}

// sharing returns a channel that is closed when the others have been told about a newcomer.
func (m *Minogrpc) sharing(newcomer session.Address) <-chan struct{} {
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()

	done, found := m.peers.shares[newcomer]
	if !found {
		done = make(chan struct{})
		close(done)
	}

	return done
}

// share tells the other nodes about a newcomer. When it returns, all that are in the
// store then have been asked, or the time is over. A task tries those again that could not
// be reached.
func (m *Minogrpc) share(newcomer session.Address, chain *ptypes.CertificateChain) {
	ctx, cancel := context.WithTimeout(m.host.Stopping(), sharePeriod)
	defer cancel()

	told := map[session.Address]bool{m.me: true, newcomer: true}

	var missed []session.Address

	// Two nodes that are let in by two others at the same time would miss each other, if
	// the store were not looked at again after the others have been told.
	for ctx.Err() == nil {
		next := m.untold(told)
		if len(next) == 0 {
			break
		}

		missed = append(missed, m.tell(ctx, next, chain, true)...)
	}

	missed = append(missed, m.untold(told)...)
	if len(missed) > 0 {
		m.host.Go(host.Task{Name: "introduction of a newcomer"}, func() { m.tellLater(missed, chain) })
	}
}

// untold returns the nodes in the store that are not among those who have been told, and
// adds them there.
func (m *Minogrpc) untold(told map[session.Address]bool) []session.Address {
	next := slices.DeleteFunc(m.members(), func(addr session.Address) bool { return told[addr] })
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

// members returns the nodes in the store.
func (m *Minogrpc) members() []session.Address {
	var addrs []session.Address

	err := m.store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		if peer, err := host.PeerOf(addr); err == nil {
			addrs = append(addrs, peer)
		}

		return true
	})
	if err != nil {
		m.logger.Warn().Err(err).Msg("the store cannot read all of the certificates")
	}

	return addrs
}

// tellLater tells those who could not be reached, as far as they have ever proved that they are
// there: nobody makes this node dial the addresses of others for minutes by naming them.
func (m *Minogrpc) tellLater(missed []session.Address, chain *ptypes.CertificateChain) {
	for pause := firstPause; pause < firstPause<<maxPauses && len(missed) > 0; pause *= 2 {
		if !sleep(m.host.Stopping(), pause) {
			return
		}

		missed = m.tell(m.host.Stopping(), slices.DeleteFunc(missed, m.hearsay.has), chain, false)
	}

	for _, addr := range missed {
		m.logger.Warn().Stringer("peer", addr).Bytes("newcomer", chain.GetAddress()).
			Msg("a node could not be told about a newcomer")
	}
}

// tell shares a chain with the nodes, and returns those that do not know of it then. If it is
// patient, it tells a node again that does not know this one yet, because that node may be on its
// way in itself.
func (m *Minogrpc) tell(ctx context.Context, nodes []session.Address, chain *ptypes.CertificateChain, patient bool,
) (missed []session.Address) {
	var group errgroup.Group

	group.SetLimit(maxShares)

	told := make([]bool, len(nodes))

	for i, addr := range nodes {
		group.Go(func() error {
			var again bool

			for pause := shortPause; ; pause = min(2*pause, longPause) {
				told[i], again = m.tellOnce(ctx, addr, chain)
				if !patient || !again || !sleep(ctx, pause) {
					return nil
				}
			}
		})
	}

	_ = group.Wait() // what has happened is in told

	for i, addr := range nodes {
		if !told[i] {
			missed = append(missed, addr)
		}
	}

	return missed
}

// tellOnce shares a chain with one node. It tells whether the node has understood, and if not
// whether it should be asked again soon.
func (m *Minogrpc) tellOnce(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain,
) (told, again bool) {
	err := m.contain(func() error { return m.tellOne(ctx, addr, chain) })
	if err != nil {
		m.logger.Debug().Err(err).Stringer("peer", addr).Msg("newcomer not shared")
	}

	switch status.Code(err) {
	case codes.OK, codes.AlreadyExists:
		// A node that has understood, and does not want to know, is not asked again.
		return true, false
	case codes.PermissionDenied, codes.ResourceExhausted:
		return false, true
	default:
		return false, false
	}
}

// tellOne shares a chain with one node.
func (m *Minogrpc) tellOne(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain) error {
	conn, err := m.conns.Acquire(addr)
	if err != nil {
		return err
	}

	defer m.conns.Release(addr)

	ctx, cancel := context.WithTimeout(m.asCaller(ctx), shareTimeout)
	defer cancel()

	_, err = ptypes.NewOverlayClient(conn).Share(ctx, chain)

	return err
}
