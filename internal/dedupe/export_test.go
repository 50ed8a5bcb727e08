package dedupe

const (
	MaxSenders = maxSenders
	MaxOrigins = maxOrigins
)

// Len returns how many senders are remembered.
func (m *Memory) Len() int {
	return len(m.senders)
}
