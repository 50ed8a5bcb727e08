package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// maxPatience bounds the time that a packet of others may ask for, in outcome deadlines of
// this session: ten times [MaxTimeout] at most.
const maxPatience = 10

// originSize is the length of the identity of a session, in bytes.
const originSize = 16

// arrival is a packet that has come from a neighbour.
type arrival struct {
	identity

	// from is the text of the neighbour's address, and addr the address.
	from string
	addr mino.Address
	// down is set when the neighbour is known to be a parent.
	down bool
	// unordered is set when the packet may have overtaken others of its sender.
	unordered bool

	// header and body are the packet as it travels, unless err says why there is none.
	header, body []byte
	err          error
}

// identity is what a packet says about itself, however it travels.
type identity interface {
	GetOrigin() []byte
	GetSequence() uint64
	GetHopLimit() uint32
	GetBudgetMs() uint32
}

// decodePacket returns the router's packet and its destinations.
func (s *session) decodePacket(in arrival) (packet router.Packet, to recipients, err error) {
	defer func() { s.witness.fault(err) }()
	defer contain.Recover(&err)

	packet, err = s.packetOf(in)

	switch {
	case err != nil:
	case packet == nil:
		err = errors.New("no packet")
	default:
		to, err = destinationsOf(packet)
	}

	return packet, to, err
}

// packetOf decodes a packet, in the binary format of the link if it has a header of its own.
func (s *session) packetOf(in arrival) (router.Packet, error) {
	if in.err != nil {
		return nil, in.err
	}

	if len(in.header) == 0 {
		return s.pktFac.PacketOf(s.ctx, in.body)
	}

	binary, ok := s.pktFac.(router.BinaryPacketFactory)
	if !ok {
		return nil, errors.New("no binary format has been agreed on")
	}

	return binary.PacketOfHeader(in.header, in.body)
}

// destinationsOf returns the destinations of a packet. It has its own list, because a router
// may change that of the packet.
func destinationsOf(packet router.Packet) (recipients, error) {
	dests := packet.GetDestination()
	if len(dests) == 0 {
		return recipients{}, errors.New("no destination")
	}

	if len(dests) == 1 {
		key, err := keyOf(dests[0])
		if err != nil {
			return recipients{}, fmt.Errorf("destination: %w", err)
		}

		to := oneRecipient(key, dests[0])
		to.size = len(packet.GetMessage())

		return to, nil
	}

	to := recipients{
		keys:  make([]string, len(dests)),
		addrs: slices.Clone(dests),
		size:  len(packet.GetMessage()),
	}

	for i, dest := range dests {
		key, err := keyOf(dest)
		if err != nil {
			return recipients{}, fmt.Errorf("destination: %w", err)
		}

		to.keys[i] = key
	}

	return to, nil
}

// headerLocked reads what the packet says about itself. A packet without an identity comes
// from an existing node. It gets the next identity of this session, as if it began here.
func (s *session) headerLocked(in arrival) link.Header {
	h := link.Header{
		From:     in.from,
		Down:     in.down || s.parents.byKey(in.from) != nil,
		Origin:   in.GetOrigin(),
		Sequence: in.GetSequence(),
		HopLimit: min(in.GetHopLimit(), s.hopLimit),

		Unordered: in.unordered,
	}
	budget := time.Duration(in.GetBudgetMs()) * time.Millisecond

	if len(h.Origin) != originSize {
		s.sequence++
		h.Origin, h.Sequence, h.HopLimit = s.origin[:], s.sequence, s.hopLimit
		budget = 0
	}

	if budget <= 0 {
		budget = s.outcome
	}

	// A packet that waits costs this node memory, so a neighbour cannot ask for any time.
	h.Deadline = time.Now().Add(min(budget, maxPatience*s.outcome))

	return h
}
