package minogrpc

import (
	"context"
	"math"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// perPlayer is what a player takes while the table of a root is made, in bytes: the address, and
	// its places in lists and maps.
	perPlayer = 224

	// perHandshakeByte is what a byte of a handshake takes in the same way. The shortest addresses
	// take the most for their bytes.
	perHandshakeByte = 16
)

// reserveTable takes the memory in which the routing table of a stream is made, before anything is
// read. The session charges the table itself as long as it has that. The error has a status.
func (m *Minogrpc) reserveTable(caller session.Address, md metadata.MD) (release func(), err error) {
	weight := 0

	for _, handshake := range md.Get(session.HandshakeKey) {
		weight += perHandshakeByte * len(handshake)
	}

	for _, text := range md.Get(session.PlayerKey) {
		weight += perPlayer + len(text)
	}

	release, ok := m.shared.ReserveFor(caller, weight)
	if !ok {
		return nil, errTableMemory
	}

	return release, nil
}

var errTableMemory = status.Error(codes.ResourceExhausted,
	"the routing table does not fit into the memory budget of the node")

var errMessageMemory = status.Error(codes.ResourceExhausted, "messages do not fit into the memory budget of the node")

// ClaimMessages implements gate.Peer. All the connections of a host may claim as much as one peer may
// have, and all the hosts together what is left of the memory budget.
func (c *accepted) ClaimMessages(bytes int) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	// What is claimed after the end nobody would give back.
	if c.closed.Load() {
		return errMessageMemory
	}

	l := c.listener
	part := claim{kind: partBytes}

	if err := c.visit.claim(part, bytes, l.limits.peerPart()); err != nil {
		return err
	}

	// An honest connection must not break because others have used up the memory.
	if !l.budget.ReserveSpare(bytes) {
		c.visit.reduce(part, bytes)

		return errMessageMemory
	}

	c.messages += bytes

	return nil
}

// UnclaimMessages implements gate.Peer.
func (c *accepted) UnclaimMessages(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()

	bytes = min(bytes, c.messages)
	c.messages -= bytes
	c.visit.reduce(claim{kind: partBytes}, bytes)
	c.listener.budget.Release(bytes)
}

// unclaimAllMessages gives back what is left at the end.
func (c *accepted) unclaimAllMessages() {
	c.UnclaimMessages(math.MaxInt)
}

// lightMessage is what the message of a call may take without being charged to anybody, in bytes.
const lightMessage = 64 << 10

// chargeCall takes the memory for the message of a call for as long as that is served. The error has a
// status.
func (m *Minogrpc) chargeCall(ctx context.Context, req any) (release func(), err error) {
	msg, ok := req.(proto.Message)
	if !ok {
		return func() {}, nil
	}

	size := proto.Size(msg)
	if size <= lightMessage {
		return func() {}, nil
	}

	v := m.tally.visit(remoteHost(ctx))
	if err = v.claim(claim{kind: callBytes}, size, m.peerPart()); err != nil {
		return nil, err
	}

	if !m.shared.Reserve(size) {
		v.end()

		return nil, errMessageMemory
	}

	return func() {
		v.end()
		m.shared.Release(size)
	}, nil
}
