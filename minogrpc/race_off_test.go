//go:build !race

package minogrpc_test

import "github.com/minogrpc/session/minogrpc"

// largestMessage is the size of the largest message that a node takes.
const largestMessage = minogrpc.DefaultMaxMessage
