package minogrpc

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// kind is what a claim is about.
type kind string

const (
	connections kind = "connections"
	setUps      kind = "pending set-ups"
	openStreams kind = "streams"
	storedBytes kind = "bytes of metadata"
	headerBytes kind = "bytes of headers"

	// partBytes are those of the messages that have come in part, and callBytes those of the messages
	// of calls while they are served.
	partBytes kind = "bytes of messages that have come in part"
	callBytes kind = "bytes of messages of calls"

	// allConnections are those of all the hosts.
	allConnections kind = "connections of all hosts"
)

// claim is what somebody has a share of. Without a gateway it is that of the host.
// A gateway counts for each host by itself: nobody can use up the share of another
// node by giving its address.
type claim struct {
	kind    kind
	host    string
	gateway session.Address
}

// tally counts what the remote hosts hold of a node.
type tally struct {
	mu     sync.Mutex
	counts map[claim]int
}

func newTally() *tally {
	return &tally{counts: make(map[claim]int)}
}

// visit is one connection or one call of a remote host, and what it has claimed.
// It may be used from several goroutines at once.
type visit struct {
	tally *tally
	host  string
	// held is guarded by the lock of the tally.
	held map[claim]int
}

// visit returns one that has claimed nothing.
func (t *tally) visit(host string) *visit {
	return &visit{tally: t, host: host, held: make(map[claim]int)}
}

// claim takes n of what there may be limit of. The error has a status, and then
// nothing is taken.
func (v *visit) claim(c claim, n, limit int) error {
	v.tally.mu.Lock()
	defer v.tally.mu.Unlock()

	if c.kind != allConnections {
		c.host = v.host
	}

	if v.tally.counts[c]+n > limit {
		return status.Errorf(codes.ResourceExhausted, "more than %d %s", limit, c.kind)
	}

	v.tally.counts[c] += n
	v.held[c] += n

	return nil
}

// release gives back what was claimed of a kind, if there is any.
func (v *visit) release(k kind) {
	v.tally.mu.Lock()
	defer v.tally.mu.Unlock()

	for c := range v.held {
		if c.kind == k {
			v.releaseLocked(c)
		}
	}
}

// reduce gives back n of what was claimed.
func (v *visit) reduce(c claim, n int) {
	v.tally.mu.Lock()
	defer v.tally.mu.Unlock()

	c.host = v.host
	v.tally.counts[c] -= n
	v.held[c] -= n

	if v.held[c] == 0 {
		v.releaseLocked(c)
	}
}

// end gives back everything. It may be called more than once.
func (v *visit) end() {
	v.tally.mu.Lock()
	defer v.tally.mu.Unlock()

	for c := range v.held {
		v.releaseLocked(c)
	}
}

func (v *visit) releaseLocked(c claim) {
	v.tally.counts[c] -= v.held[c]
	delete(v.held, c)

	if v.tally.counts[c] == 0 {
		delete(v.tally.counts, c)
	}
}

// remoteHost returns the host that a call comes from.
func remoteHost(ctx context.Context) string {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}

	return hostOf(from.Addr)
}

// hostOf returns the host of an address, without the port. For IPv6 it is the
// network of 64 bits, in which a host has as many addresses as it likes.
func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = addr.String()
	}

	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}

	network, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}

	return network.String()
}
