package sessiontest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
)

// checkMake: a packet has the source, destinations and message that it is made of,
// and keeps the message but not the slice of the caller.
func checkMake(r router.Router) error {
	players, table, err := rootTable(r, 4)
	if err != nil {
		return err
	}

	msg := []byte("hello")
	to := slices.Clone(players[1:])
	p := table.Make(players[0], to, msg)
	to[0] = players[3]

	err = comparePacket(p, players[0], players[1:], msg)
	if err != nil {
		return fmt.Errorf("after Make, with the caller's slice overwritten: %w", err)
	}

	if &p.GetMessage()[0] != &msg[0] {
		return errors.New("the packet has a copy of the message")
	}

	return nil
}

// checkPacketBytes: the factory gives back what was serialized.
func checkPacketBytes(r router.Router) error {
	players, table, err := rootTable(r, 50)
	if err != nil {
		return err
	}

	ctx := json.NewContext()
	source := session.NewOrchestratorAddress(players[0])

	for _, msg := range [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte{0, 0xff}, 1000)} {
		data, err := table.Make(source, players[1:], msg).Serialize(ctx)
		if err != nil {
			return fmt.Errorf("packet of %d bytes: %w", len(msg), err)
		}

		p, err := r.GetPacketFactory().PacketOf(ctx, data)
		if err != nil {
			return fmt.Errorf("packet of %d bytes: %w", len(msg), err)
		}

		err = comparePacket(p, source, players[1:], msg)
		if err != nil {
			return fmt.Errorf("after the network: %w", err)
		}
	}

	return nil
}

// checkSlice: Slice takes one address out, once, whatever value it is given as.
func checkSlice(r router.Router) error {
	players, table, err := rootTable(r, 5)
	if err != nil {
		return err
	}

	msg := []byte("hello")
	p := table.Make(players[0], players[1:], msg)

	alone := p.Slice(session.AddressFactory{}.FromText([]byte(textOf(players[2]))))
	if alone == nil {
		return errors.New("slice of a destination is nil")
	}

	err = comparePacket(alone, players[0], players[2:3], msg)
	if err != nil {
		return fmt.Errorf("packet that was sliced out: %w", err)
	}

	for _, addr := range []mino.Address{players[2], players[0], session.NewOrchestratorAddress(players[1])} {
		if p.Slice(addr) != nil {
			return fmt.Errorf("slice of %v, which is no destination, is not nil", addr)
		}
	}

	err = comparePacket(p, players[0], []mino.Address{players[1], players[3], players[4]}, msg)
	if err != nil {
		return fmt.Errorf("packet after Slice: %w", err)
	}

	return nil
}

// checkForwardPacket: Forward does not change the packet, shares its message, and
// gives packets that have nothing else in common with it.
func checkForwardPacket(r router.Router) error {
	players, table, err := rootTable(r, 50)
	if err != nil {
		return err
	}

	msg := []byte("hello")
	p := table.Make(players[0], players[1:], msg)

	// The second time shows what slicing the parts of the first has done.
	for range 2 {
		routes, _ := table.Forward(p)

		for to, part := range routes {
			if &part.GetMessage()[0] != &msg[0] {
				return fmt.Errorf("packet for %v has a copy of the message", to)
			}

			err = comparePacket(part, players[0], part.GetDestination(), msg)
			if err != nil {
				return fmt.Errorf("packet for %v: %w", to, err)
			}

			for _, addr := range slices.Clone(part.GetDestination()) {
				part.Slice(addr)
			}
		}

		err = comparePacket(p, players[0], players[1:], msg)
		if err != nil {
			return fmt.Errorf("packet after Forward: %w", err)
		}
	}

	return nil
}

// comparePacket returns an error when the packet is not made of these. The order of
// the destinations does not count.
func comparePacket(p router.Packet, source mino.Address, to []mino.Address, msg []byte) error {
	if textOf(p.GetSource()) != textOf(source) {
		return fmt.Errorf("source is %v instead of %v", p.GetSource(), source)
	}

	got, want := textsOf(p.GetDestination()), textsOf(to)
	if !slices.Equal(got, want) {
		return fmt.Errorf("destinations are %q instead of %q", got, want)
	}

	if !bytes.Equal(p.GetMessage(), msg) {
		return fmt.Errorf("message is %q instead of %q", p.GetMessage(), msg)
	}

	return nil
}

// textsOf returns the text forms, sorted.
func textsOf(addrs []mino.Address) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = textOf(addr)
	}

	slices.Sort(texts)

	return texts
}
