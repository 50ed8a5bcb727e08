package minogrpc

import (
	"cmp"
	"context"
	"slices"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

const (
	// pageSize is how much of the certificates a node asks for at once, in bytes, and minPage
	// the least that it gets.
	pageSize = 1 << 20
	minPage  = 64 << 10

	// maxReplies is how many answers to a Join are put together at once. One may have as much
	// as the largest message.
	maxReplies = 4
)

// reply returns the answer to a Join: the page that is asked for, or everything that fits into
// one answer for a caller that knows of no pages. It waits while others are put together.
func (m *Minogrpc) reply(ctx context.Context, request *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
	select {
	case m.replies <- struct{}{}:
		defer func() { <-m.replies }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}

	all := m.chains()

	if request.GetPage() == 0 {
		return &ptypes.JoinResponse{Peers: fitting(all, m.maxFrame())}, nil
	}

	return pageOf(all, string(request.GetAfter()), min(max(int(request.GetPage()), minPage), m.maxFrame())), nil
}

// chains returns what the store holds, as it travels. What it cannot read, or what has no
// address that others would take, is left out.
func (m *Minogrpc) chains() []*ptypes.CertificateChain {
	var all []*ptypes.CertificateChain

	err := m.store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		peer, err := host.PeerOf(addr)
		if err == nil {
			all = append(all, &ptypes.CertificateChain{Address: []byte(textOf(peer)), Value: chain})
		}

		return true
	})
	if err != nil {
		m.logger.Warn().Err(err).Int("told", len(all)).Msg("not all the certificates can be told")
	}

	return all
}

// sizeOf returns how much a chain takes in an answer.
func sizeOf(chain *ptypes.CertificateChain) int {
	return proto.Size(chain) + chainOverhead
}

// fitting returns the chains that there is room for. One that does not fit is no reason to leave
// out those that do.
func fitting(all []*ptypes.CertificateChain, room int) []*ptypes.CertificateChain {
	return slices.DeleteFunc(all, func(chain *ptypes.CertificateChain) bool {
		size := sizeOf(chain)
		if size > room {
			return true
		}

		room -= size

		return false
	})
}

// pageOf returns the chains of the addresses that come after one, up to that many bytes. The
// order is that of the texts, which a store does not change between two pages.
func pageOf(all []*ptypes.CertificateChain, after string, room int) *ptypes.JoinResponse {
	page := &ptypes.JoinResponse{}

	all = slices.DeleteFunc(all, func(c *ptypes.CertificateChain) bool {
		return string(c.GetAddress()) <= after || sizeOf(c) > room
	})
	slices.SortFunc(all, func(a, b *ptypes.CertificateChain) int {
		return cmp.Compare(string(a.GetAddress()), string(b.GetAddress()))
	})

	for i, chain := range all {
		if room -= sizeOf(chain); room < 0 {
			page.Next = all[i-1].GetAddress()

			break
		}

		page.Peers = append(page.Peers, chain)
	}

	return page
}

// learnPages adds what the node that is joined at knows, page by page. Each answer must go on
// after the one before, so that no node keeps another one busy for longer than its own list.
func (m *Minogrpc) learnPages(ctx context.Context, told bool,
	ask func(*ptypes.JoinRequest) (*ptypes.JoinResponse, error),
) (telling bool, err error) {
	var after string

	for {
		page, err := ask(&ptypes.JoinRequest{Page: pageSize, After: []byte(after), Told: told && after == ""})
		if err != nil {
			return false, err
		}

		telling = telling || page.GetTelling()

		if err = m.learnAll(ctx, page.GetPeers()); err != nil {
			return false, err
		}

		next := string(page.GetNext())
		if next <= after {
			return telling, nil
		}

		after = next
	}
}
