package fake

import "github.com/minogrpc/session/sessiontest"

// Peer is the server of a node that a test plays by hand.
type Peer = sessiontest.Peer
