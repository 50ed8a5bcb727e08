package session

// What the session itself uses, for the tests from outside.
var (
	WrapAddress   = wrapAddress
	UnwrapAddress = unwrapAddress
)

func (a Address) IsOrchestrator() bool { return a.isOrchestrator() }

// Depth returns the number of packets in the queue and the bytes of their messages.
func (q *NonBlockingQueue) Depth() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()

	q.countReceivedLocked()

	return q.bounds.Depth()
}
