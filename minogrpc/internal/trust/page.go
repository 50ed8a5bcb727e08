package trust

import (
	"cmp"
	"context"
	"slices"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// chainOverhead is what protobuf puts in front of each chain of an answer, at most, in bytes.
const chainOverhead = 8

const (
	// pageSize is how much of the certificates a node asks for at once, in bytes. minPage is the
	// least that a node gets that asks for less.
	pageSize = 1 << 20
	minPage  = 64 << 10

	// maxReplies is how many answers to a Join a node puts together at once. One answer may be as
	// large as the largest message.
	maxReplies = 4
)

// Answer returns the answer to a Join: the page that the caller asks for, or, for a caller that knows
// no pages, all that fits into one answer. It waits while four others are put together. The error is
// that of the context.
func (p *Peers) Answer(ctx context.Context, request *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
	select {
	case p.replies <- struct{}{}:
		defer func() { <-p.replies }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}

	all := p.chains()

	if request.GetPage() == 0 {
		return &ptypes.JoinResponse{Peers: fitting(all, p.MaxAnswer)}, nil
	}

	return pageOf(all, string(request.GetAfter()), min(max(int(request.GetPage()), minPage), p.MaxAnswer)), nil
}

// chains returns what the store holds, as it travels. It leaves out chains that cannot be read, and
// those of addresses that others would not take.
func (p *Peers) chains() []*ptypes.CertificateChain {
	var all []*ptypes.CertificateChain

	err := p.Store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		peer, err := host.PeerOf(addr)
		if err == nil {
			all = append(all, &ptypes.CertificateChain{Address: []byte(spelling.Text(peer)), Value: chain})
		}

		return true
	})
	if err != nil {
		p.Logger.Warn().Err(err).Int("told", len(all)).Msg("not all the certificates can be told")
	}

	return all
}

// sizeOf returns how much a chain takes in an answer.
func sizeOf(chain *ptypes.CertificateChain) int {
	return proto.Size(chain) + chainOverhead
}

// fitting returns the chains that there is room for. A chain that does not fit does not keep out the
// smaller ones after it.
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

// pageOf returns the chains of the addresses after the given one, up to that many bytes. It sorts them
// by their texts: the order of a store could change between two pages.
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

// LearnFrom asks another node for all that it knows, and adds it to the store. If the other node tells
// others of this one meanwhile, it asks once more when that is over.
func (p *Peers) LearnFrom(ctx context.Context, ask func(*ptypes.JoinRequest) (*ptypes.JoinResponse, error)) error {
	telling, err := p.learnPages(ctx, false, ask)
	if err == nil && telling {
		_, err = p.learnPages(ctx, true, ask)
	}

	return err
}

// learnPages adds what the other node knows, page by page. Each page must go on after the one before.
// So the other node cannot keep this one busy for longer than its list is.
func (p *Peers) learnPages(ctx context.Context, told bool,
	ask func(*ptypes.JoinRequest) (*ptypes.JoinResponse, error),
) (telling bool, err error) {
	var after string

	for {
		page, err := ask(&ptypes.JoinRequest{Page: pageSize, After: []byte(after), Told: told && after == ""})
		if err != nil {
			return false, err
		}

		telling = telling || page.GetTelling()

		if err = p.learnAll(ctx, page.GetPeers()); err != nil {
			return false, err
		}

		next := string(page.GetNext())
		if next <= after {
			return telling, nil
		}

		after = next
	}
}
