package session

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// recipients are the destinations of one message, in their order. They share nothing with the
// list that they come from, and do not change.
type recipients struct {
	keys  []string
	addrs []mino.Address
	// bad are the outcomes of destinations that are no address.
	bad []*DeliveryError
	// size is the size of the message in bytes. It is only set for a packet that has arrived.
	size int
	// one is nil unless there is a single destination.
	one *oneRecipient
}

// oneRecipient is the memory for what a packet to a single destination needs, in one piece: most packets
// have one.
type oneRecipient struct {
	keys   [1]string
	addrs  [1]mino.Address
	set    pending.Set
	parcel link.Parcel
}

// newRecipient returns a single destination.
func newRecipient(key string, addr mino.Address) recipients {
	one := &oneRecipient{keys: [1]string{key}, addrs: [1]mino.Address{addr}}

	return recipients{keys: one.keys[:], addrs: one.addrs[:], one: one}
}

// pending returns the set of the destinations. It is called once.
func (to recipients) pending(waiter pending.Waiter) *pending.Set {
	if to.one == nil {
		return pending.New(to.keys, waiter)
	}

	to.one.set.Init(to.keys, waiter)

	return &to.one.set
}

// room returns memory for the parcel of the packet, or nil.
func (to recipients) room() *link.Parcel {
	if to.one == nil {
		return nil
	}

	return &to.one.parcel
}

// recipientsOf returns the destinations that the caller of Send asks for, each once.
func (r *reporter) recipientsOf(addrs []mino.Address) recipients {
	if len(addrs) == 1 {
		addr := unwrapAddress(addrs[0])

		key, err := keyOf(addr)
		if err == nil {
			return newRecipient(key, addr)
		}
	}

	var to recipients

	seen := make(map[string]struct{}, len(addrs))

	for _, addr := range addrs {
		addr = unwrapAddress(addr)

		key, err := keyOf(addr)
		if err != nil {
			// Two addresses that are bad in the same way are one destination.
			key = fmt.Sprintf("%T %v", addr, err)
		}

		_, twice := seen[key]
		if twice {
			continue
		}

		seen[key] = struct{}{}

		if err != nil {
			if errors.Is(err, contain.ErrPanic) {
				addr = nil // Such as a nil pointer, which nobody could print.
			}

			to.bad = append(to.bad, r.failure(ReasonNoRoute, err).about(addr))
		} else {
			to.keys = append(to.keys, key)
			to.addrs = append(to.addrs, addr)
		}
	}

	return to
}

// destinationsOf returns the destinations of a packet. It copies the list, because a router may
// change the list of the packet.
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

		to := newRecipient(key, dests[0])
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
