package session

import (
	"context"

	"github.com/minogrpc/session/router"
)

// What the session itself uses, for the tests from outside.
var (
	WrapAddress   = wrapAddress
	UnwrapAddress = unwrapAddress
)

func (a Address) IsOrchestrator() bool { return a.isOrchestrator() }

func (q *NonBlockingQueue) Pop(ctx context.Context) (router.Packet, error) { return q.pop(ctx) }

func (q *NonBlockingQueue) CloseWith(cause error) { q.closeWith(cause) }

func (q *NonBlockingQueue) Depth() (packets, bytes int) { return q.depth() }
