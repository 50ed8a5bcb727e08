package minogrpc

import (
	"context"
	"math"
	"net"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/minogrpc/internal/gate"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"
)

const (
	// headerPatience is how long headers of several frames may take that another node than a
	// stranger sends: those of the largest stream, over a slow line.
	headerPatience = 6 * acceptTimeout

	// headerFields is how many fields of headers a host may have decoded in a second, beside those of
	// any call, and headerBurst how many at once: those of some of the largest streams.
	headerFields = 200_000
	headerBurst  = 2_000_000

	// arrivalWork is what a connection costs, in fields: a thousand nodes of one host may come at once.
	// refusalWork is what it costs to have one closed.
	arrivalWork = 1_000
	refusalWork = 20_000

	// busyHosts is how many times as many all the hosts together may have.
	busyHosts = 2

	// lightHeaders is what headers may take, in bytes, without being charged to anybody. A call takes
	// more than that in any case.
	lightHeaders = 16 << 10

	// perValue is what a field of headers takes beside its texts, in bytes: the server makes room for
	// each in a map, of which half may be empty.
	perValue = 192
)

// headerRules are those of all the connections of the node.
func (m *Minogrpc) headerRules() gate.Rules {
	return gate.Rules{
		Longest:          int(min(m.maxHeaderList(), math.MaxInt32)),
		StrangerPatience: acceptTimeout,
		Patience:         headerPatience,
		MessagePatience:  session.DefaultLiveness,
		Work:             gate.NewBuckets(headerFields, headerBurst),
		Arrival:          arrivalWork,
		Refusal:          refusalWork,
		AllWork:          gate.NewBuckets(busyHosts*headerFields, busyHosts*headerBurst),
	}
}

// guarded returns a connection that counts the headers before the server decodes them. The raw one is
// the connection of the listener.
func guarded(conn, raw net.Conn, rules gate.Rules) net.Conn {
	c, ok := raw.(*accepted)
	if !ok {
		return conn
	}

	return gate.NewConn(conn, rules, c)
}

// Host implements gate.Peer.
func (c *accepted) Host() string {
	return c.visit.host
}

// Unproved implements gate.Peer.
func (c *accepted) Unproved() bool {
	return c.celled.Load()
}

// Known implements gate.Peer.
func (c *accepted) Known() bool {
	return !c.isStranger()
}

// Claim implements gate.Peer. All the connections of a host may claim as much as all its streams may
// hold, and all the hosts together what is left of the memory budget.
func (c *accepted) Claim(bytes int) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	// What is claimed after the end nobody would give back.
	if c.closed.Load() {
		return errHeaderMemory
	}

	l := c.listener

	err := c.visit.claim(claim{kind: headerBytes}, bytes, times(l.limits.maxMetadata, hostMetadata))
	if err != nil {
		return err
	}

	if !l.budget.Reserve(bytes) {
		return errHeaderMemory
	}

	c.headers += bytes

	return nil
}

// Unclaim implements gate.Peer.
func (c *accepted) Unclaim() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.visit.release(headerBytes)
	c.listener.budget.Release(c.headers)
	c.headers = 0
}

// Refuse implements gate.Peer.
func (c *accepted) Refuse(cause error) {
	c.listener.refuse(c, cause)
	_ = c.Close()
}

// Done implements gate.Peer.
func (c *accepted) Done() <-chan struct{} {
	return c.gone
}

// screen refuses the calls of a stranger that has had enough, and those whose headers do not fit into
// the memory budget, before anything is kept of them. It runs where the connection is read, and so
// leaves the rest to the calls.
func (m *Minogrpc) screen(ctx context.Context, info *tap.Info) (context.Context, error) {
	var err error
	if conn := connectionOf(ctx); conn != nil {
		err = conn.spend(headers.Size(info.Header))
	}

	// The context of a call that is refused here does not end.
	if err == nil {
		err = m.chargeHeaders(ctx, weightOf(info.Header))
	}

	m.observeCall(ctx, info.FullMethodName, err)

	return ctx, err
}

// weightOf estimates what the metadata take in memory, in bytes.
func weightOf(md metadata.MD) int {
	weight := 0

	for key, values := range md {
		weight += len(key) + perValue*len(values)
		for _, value := range values {
			weight += len(value)
		}
	}

	return weight
}

// chargeHeaders takes the memory for the headers of a call for as long as it lasts. The error has a
// status.
func (m *Minogrpc) chargeHeaders(ctx context.Context, weight int) error {
	if weight <= lightHeaders {
		return nil
	}

	v := m.tally.visit(remoteHost(ctx))

	err := v.claim(claim{kind: headerBytes}, weight, times(m.maxMetadata, hostMetadata))
	if err == nil && !m.shared.Reserve(weight) {
		err = errHeaderMemory
	}

	if err != nil {
		v.end()

		return err
	}

	context.AfterFunc(ctx, func() {
		v.end()
		m.shared.Release(weight)
	})

	return nil
}
