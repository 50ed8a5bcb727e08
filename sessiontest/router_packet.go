package sessiontest

import (
	"bytes"
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
		return in(table, "Make", players[0], players[1:], msg).errorf(
			"the caller has overwritten its slice since: %w", err)
	}

	if &p.GetMessage()[0] != &msg[0] {
		return in(p, "GetMessage").errorf("it returns a copy of the message that Make was given")
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
		made := table.Make(source, players[1:], msg)

		data, err := made.Serialize(ctx)
		if err != nil {
			return in(made, "Serialize").errorf("packet to %d players, of %d bytes: %w", len(players)-1, len(msg), err)
		}

		factory := r.GetPacketFactory()

		p, err := factory.PacketOf(ctx, data)
		if err != nil {
			return in(factory, "PacketOf", ctx, data).errorf("a packet of %d bytes: %w", len(msg), err)
		}

		err = comparePacket(p, source, players[1:], msg)
		if err != nil {
			return in(factory, "PacketOf", ctx, data).errorf("the packet is not the one that was serialized: %w", err)
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
		return in(p, "Slice", players[2]).errorf("it returns nil, but the address is a destination, in another value")
	}

	err = comparePacket(alone, players[0], players[2:3], msg)
	if err != nil {
		return in(p, "Slice", players[2]).errorf("the packet that it returns: %w", err)
	}

	for _, addr := range []mino.Address{players[2], players[0], session.NewOrchestratorAddress(players[1])} {
		if p.Slice(addr) != nil {
			return in(p, "Slice", addr).errorf("it returns a packet, but the address is no destination")
		}
	}

	err = comparePacket(p, players[0], []mino.Address{players[1], players[3], players[4]}, msg)
	if err != nil {
		return in(p, "Slice", players[2]).errorf("what it leaves of the packet: %w", err)
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
				return in(table, "Forward", p).errorf("the packet for %v has a copy of the message", to)
			}

			err = comparePacket(part, players[0], part.GetDestination(), msg)
			if err != nil {
				return in(table, "Forward", p).errorf("the packet for %v: %w", to, err)
			}

			for _, addr := range slices.Clone(part.GetDestination()) {
				part.Slice(addr)
			}
		}

		err = comparePacket(p, players[0], players[1:], msg)
		if err != nil {
			return in(table, "Forward", p).errorf(
				"it has changed the packet, or that shares something with its parts: %w", err)
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
