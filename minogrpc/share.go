package minogrpc

import (
	"context"
	"slices"
	"time"

	"github.com/minogrpc/session"
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
	sharePeriod  = 10 * time.Second

	// maxShares is how many nodes are told at once: so many that those who do not answer
	// keep nobody waiting, unless there are a thousand of them.
	maxShares = 512

	// Who does not know this node is told again after a short pause, which doubles up to
	// the long one, while the newcomer waits.
	shortPause = 25 * time.Millisecond
	longPause  = 100 * time.Millisecond

	// Who cannot be reached is told later: after a pause that doubles, some times.
	firstPause = time.Second
	maxPauses  = 10
)

// share tells the other nodes about a newcomer. When it returns, all that are in the
// store then have been asked, or the time is over. A task tries those again that could not
// be reached.
func (m *Minogrpc) share(ctx context.Context, newcomer session.Address, chain *ptypes.CertificateChain) {
	ctx, cancel := context.WithTimeout(ctx, sharePeriod)
	defer cancel()

	stop := context.AfterFunc(m.life.closing, cancel)
	defer stop()

	told := map[session.Address]bool{m.me: true, newcomer: true}

	var missed, refused []session.Address

	// Two nodes that are let in by two others at the same time would miss each other, if
	// the store were not looked at again after the others have been told. And who is being
	// let in does not know this node for a moment.
	for pause := shortPause; ctx.Err() == nil; pause *= 2 {
		next := append(m.untold(told), refused...)
		if len(next) == 0 {
			break
		}

		var more []session.Address

		more, refused = m.tell(ctx, next, chain)
		missed = append(missed, more...)

		if len(refused) > 0 && (pause > longPause || !sleep(ctx, pause)) {
			break
		}
	}

	missed = append(missed, refused...)
	if len(missed) > 0 {
		m.tasks.start(func() { m.tellLater(missed, chain) })
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
		if peer, err := follower(addr); err == nil {
			addrs = append(addrs, peer)
		}

		return true
	})
	if err != nil {
		m.logger.Warn().Err(err).Msg("the store cannot read all of the certificates")
	}

	return addrs
}

// tellLater tells those who could not be reached.
func (m *Minogrpc) tellLater(missed []session.Address, chain *ptypes.CertificateChain) {
	for pause := firstPause; pause < firstPause<<maxPauses && len(missed) > 0; pause *= 2 {
		if !sleep(m.life.closing, pause) {
			return
		}

		missed = slices.Concat(m.tell(m.life.closing, missed, chain))
	}

	for _, addr := range missed {
		m.logger.Warn().Stringer("peer", addr).Bytes("newcomer", chain.GetAddress()).
			Msg("a node could not be told about a newcomer")
	}
}

// tell shares a chain with the nodes, and returns those that could not be reached, and
// those that do not know this node, or not yet.
func (m *Minogrpc) tell(ctx context.Context, nodes []session.Address, chain *ptypes.CertificateChain,
) (missed, refused []session.Address) {
	var group errgroup.Group

	group.SetLimit(maxShares)

	answers := make([]codes.Code, len(nodes))

	for i, addr := range nodes {
		group.Go(func() error {
			err := m.contain(func() error { return m.tellOne(ctx, addr, chain) })
			if err != nil {
				m.logger.Debug().Err(err).Stringer("peer", addr).Msg("newcomer not shared")
			}

			answers[i] = status.Code(err)

			return nil
		})
	}

	_ = group.Wait() // the errors are in answers

	for i, addr := range nodes {
		switch answers[i] {
		case codes.OK, codes.AlreadyExists:
			// Who has understood, and does not want to know, is not asked again.
		case codes.PermissionDenied:
			refused = append(refused, addr)
		default:
			missed = append(missed, addr)
		}
	}

	return missed, refused
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
