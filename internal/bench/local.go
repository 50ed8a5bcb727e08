package main

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
)

// measureForward compares the routing of a packet with many destinations with the
// look-up of each in a map that is there already, from address text to next hop, and
// a list for each hop: what the routing comes down to.
func measureForward(p plan, t *table) error {
	const n = 10_000

	players := make([]mino.Address, n)
	for i := range players {
		players[i] = session.NewAddress(fmt.Sprintf("10.0.%d.%d:2000", i/256, i%256))
	}

	me := session.NewAddress("10.1.0.1:2000")
	r := tree.NewRouter(minogrpc.NewAddressFactory())

	root, err := r.New(mino.NewAddresses(players...), me)
	if err != nil {
		return err
	}

	leaf, err := r.New(mino.NewAddresses(), me)
	if err != nil {
		return err
	}

	down, up := root.Make(me, players, nil), leaf.Make(me, players, nil)

	prebuilt, err := lookups(root, down)
	if err != nil {
		return err
	}

	times, err := p.Compare(prebuilt, forwards(root, down), forwards(leaf, up))
	if err != nil {
		return err
	}

	t.ratio("Forward, 10,000 destinations, at the root, vs prebuilt map", goal{2, 1.3}, times[1].Over(times[0]))
	t.ratio("Forward, 10,000 destinations, to the parent, vs prebuilt map", goal{2, 1.3}, times[2].Over(times[0]))

	return nil
}

// lookups does what the table does for the packet with as little as it takes.
func lookups(table router.RoutingTable, packet router.Packet) (side, error) {
	var texts []string

	next := make(map[string]int)
	routes, _ := table.Forward(packet)
	hops := 0

	for _, part := range routes {
		for _, dest := range part.GetDestination() {
			text, err := dest.MarshalText()
			if err != nil {
				return side{}, err
			}

			texts = append(texts, string(text))
			next[string(text)] = hops
		}

		hops++
	}

	dests := packet.GetDestination()

	return side{Name: raw, Run: func(n int) error {
		for range n {
			parts := make([][]mino.Address, hops)

			for i, text := range texts {
				hop := next[text]
				parts[hop] = append(parts[hop], dests[i])
			}
		}

		return nil
	}}, nil
}

// forwards has the table route the packet.
func forwards(table router.RoutingTable, packet router.Packet) side {
	return side{Name: ours, Run: func(n int) error {
		for range n {
			table.Forward(packet)
		}

		return nil
	}}
}

// measureQueue compares the queue with a channel that has the same room.
func measureQueue(p plan, t *table) error {
	const room = 1024

	table, err := tree.NewRouter(minogrpc.NewAddressFactory()).New(nil, session.NewAddress("10.1.0.1:2000"))
	if err != nil {
		return err
	}

	packet := table.Make(session.NewAddress("10.1.0.1:2000"), nil, payload(64))
	channel := make(chan router.Packet, room)
	queue := session.NewNonBlockingQueue(session.WithMaxPackets(room))
	out := queue.Channel()

	times, err := p.Compare(side{Name: raw, Least: room, Run: func(n int) error {
		return pass(n, channel, func() { channel <- packet })
	}}, side{Name: ours, Least: room, Run: func(n int) error {
		return pass(n, out, func() {
			for queue.Push(packet) != nil {
				runtime.Gosched() // it is full
			}
		})
	}})
	if err == nil {
		t.ratio("queue, 1 producer, 1 consumer of its channel, vs buffered channel", goal{1.8, 1.2},
			times[1].Over(times[0]))
	}

	return err
}

// pass has one goroutine push n packets and another take them.
func pass(n int, out <-chan router.Packet, push func()) error {
	var producer sync.WaitGroup

	producer.Go(func() {
		for range n {
			push()
		}
	})

	for range n {
		<-out
	}

	producer.Wait()

	return nil
}
