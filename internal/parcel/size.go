package parcel

// What a packet takes beside its bytes: the packet, its entry in a queue, and what is known about
// its outcome; and the same of each destination. It was measured, and is rounded up.
const (
	packetOverhead      = 250
	destinationOverhead = 100
)

// Size returns what a packet costs a node, in bytes: its message, the texts of its source and of
// its destinations, and what holds them. It is the one measure of queues, outboxes and budgets: a
// bound must hold whatever packets are made of.
func Size(message []byte, source string, dests []string) int {
	size := packetOverhead + len(message) + len(source)

	for _, dest := range dests {
		size += len(dest)
	}

	return size + destinationOverhead*max(len(dests)-1, 0)
}
