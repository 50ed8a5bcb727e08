package codec

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// What one packet may hold. An item of nothing takes two or three bytes on the wire, and
// dozens of times as much once it is decoded, so that the size of the packet alone does
// not bound what it costs. A session of this library comes nowhere near: no more than
// 10,000 parcels of a link wait for their outcome at once.
const (
	maxParcels   = 20_000
	maxReceipts  = 100_000
	maxDelivered = 100_000
	maxReached   = 100_000
	maxChunks    = 1_000

	// maxFailures is for receipts of a few bytes. A larger one may report more, as there
	// may be one failure for each destination: each of them takes leastFailure bytes at
	// the very least, for its texts.
	maxFailures  = 1_000
	leastFailure = 8
)

// errItems has a status.
var errItems = status.Error(codes.InvalidArgument, "packet of more items than a session sends")

// items counts what a packet holds.
type items struct {
	parcels, receipts, delivered, chunks, failures, reached int

	// size is that of the packet, in bytes.
	size int
}

// excessive tells whether no session would have put as much into one packet.
func (n *items) excessive() bool {
	return n.parcels > maxParcels || n.receipts > maxReceipts || n.delivered > maxDelivered ||
		n.chunks > maxChunks || n.reached > maxReached || n.failures > maxFailures+n.size/leastFailure
}

// add counts a field of the packet, whose content is what follows its tag.
func (n *items) add(field protowire.Number, kind protowire.Type, content []byte) {
	switch {
	case field == packetDelivered && kind == protowire.VarintType:
		n.delivered++
	case kind != protowire.BytesType:
	case field == packetParcels:
		n.parcels++
	case field == packetChunks:
		n.chunks++
	case field == packetReceipts:
		n.receipts++
		receipt, _ := protowire.ConsumeBytes(content)
		n.addReceipt(receipt)
	case field == packetDelivered:
		ids, _ := protowire.ConsumeBytes(content)
		n.delivered += countVarints(ids)
	}
}

// checkItems returns an error with a status for a packet that is not right, or that
// would become much larger than it is. It allocates nothing.
func checkItems(data []byte) error {
	n := items{size: len(data)}

	for len(data) > 0 {
		field, kind, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return malformed(tag)
		}

		size := protowire.ConsumeFieldValue(field, kind, data[tag:])
		if size < 0 {
			return malformed(size)
		}

		n.add(field, kind, data[tag:tag+size])
		data = data[tag+size:]

		if n.excessive() {
			return errItems
		}
	}

	return nil
}

func malformed(code int) error {
	return status.Errorf(codes.InvalidArgument, "packet malformed: %v", protowire.ParseError(code))
}

// addReceipt counts the failures in a receipt, and the destinations that it says were reached. It
// ends where the receipt is not right, as decoding does.
func (n *items) addReceipt(receipt []byte) {
	for len(receipt) > 0 {
		field, kind, tag := protowire.ConsumeTag(receipt)
		if tag < 0 {
			break
		}

		size := protowire.ConsumeFieldValue(field, kind, receipt[tag:])
		if size < 0 {
			break
		}

		switch {
		case field == receiptFailures:
			n.failures++
		case field == receiptReached && kind == protowire.BytesType:
			places, _ := protowire.ConsumeBytes(receipt[tag:])
			n.reached += countVarints(places)
		case field == receiptReached:
			n.reached++
		}

		receipt = receipt[tag+size:]
	}
}

// countVarints counts the numbers that are written one after the other: each has one
// last byte.
func countVarints(data []byte) int {
	n := 0

	for _, b := range data {
		if b < 1<<7 {
			n++
		}
	}

	return n
}
