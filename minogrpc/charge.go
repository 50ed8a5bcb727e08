package minogrpc

import (
	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// perPlayer is what a player takes while the table of a root is made, in bytes: the address, and
	// its places in lists and maps.
	perPlayer = 224

	// perHandshakeByte is what a byte of a handshake takes in the same way. The shortest addresses
	// take the most for their bytes.
	perHandshakeByte = 16
)

var errTableMemory = status.Error(codes.ResourceExhausted,
	"the routing table does not fit into the memory budget of the node")

// reserveTable takes the memory in which the routing table of a stream is made, before anything is
// read. The session charges the table itself as long as it has that. The error has a status.
func (m *Minogrpc) reserveTable(in *incoming) (release func(), err error) {
	weight := 0

	for _, handshake := range in.md.Get(session.HandshakeKey) {
		weight += perHandshakeByte * len(handshake)
	}

	for _, text := range in.md.Get(playerKey) {
		weight += perPlayer + len(text)
	}

	release, ok := m.shared.ReserveFor(in.gateway, weight)
	if !ok {
		return nil, errTableMemory
	}

	return release, nil
}
