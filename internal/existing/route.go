package existing

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// route brings a packet to its destinations, by the table of one parent after the other, and
// returns a text for each failure. It returns when the answers from below have come.
func (s *Session) route(p packet) []string {
	to := p.to()

	if slices.Contains(to, s.me) {
		// The session may have ended since anybody has looked.
		if !s.deliver(p) {
			return s.closing()
		}

		to = slices.DeleteFunc(to, func(dest Address) bool { return dest == s.me })
	}

	// told is final, and missed are the texts that are true if no other parent helps.
	var told []string

	missed := []string{dropped}

	for _, parent := range s.above() {
		if len(to) == 0 {
			break
		}

		var more []string

		to, more, missed = s.routeBy(parent, p, to)
		told = append(told, more...)
	}

	if len(to) > 0 {
		told = append(told, missed...)
	}

	return told
}

// routeBy uses the table of one parent. It returns what others have told, the destinations
// that another parent may reach, and the texts about those if there is none.
func (s *Session) routeBy(parent *parent, p packet, to []Address) (left []Address, told, missed []string) {
	for len(to) > 0 {
		routes, voids := parent.table.forward(to)
		to = nil

		for dest, reason := range voids {
			left = append(left, dest)
			missed = append(missed, noRoute(dest, reason))
		}

		for _, sent := range s.sendAll(parent, p, routes) {
			told = append(told, sent.failures...)

			switch {
			case sent.err == nil:
			case sent.child == "":
				left = append(left, sent.to...)
				missed = append(missed, lostAbove(parent, p, sent)...)
			default:
				// The table finds another way, but for the child itself.
				parent.table.fail(sent.child, sent.err.Error())
				to = append(to, sent.to...)
			}
		}
	}

	return left, told, missed
}

// lostAbove is what a node says that cannot reach its parent. It names the parent, unless the
// packet is for others, too: nobody could tell whom it is about.
func lostAbove(parent *parent, p packet, lost sent) []string {
	reason := lost.err.Error()
	if len(p.Dest) == 1 {
		return []string{noRoute(parent.gateway, reason)}
	}

	failures := make([]string, 0, len(lost.to))
	for _, dest := range lost.to {
		failures = append(failures, noRoute(dest, reason))
	}

	return failures
}

func noRoute(addr Address, reason string) string {
	return fmt.Sprintf("no route to %v: %s", addr, reason)
}

// sent is what has become of one route. The error is that of the neighbour, who then is
// lost, and the failures are what it has reported.
type sent struct {
	child    Address
	to       []Address
	failures []string
	err      error
}

// sendAll sends a packet by all its routes at once.
func (s *Session) sendAll(parent *parent, p packet, routes map[Address][]Address) []sent {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		all   []sent
	)

	for child, to := range routes {
		s.node.moved.Add(1)
		group.Go(func() {
			one := sent{child: child, to: to}
			if child == "" {
				one.failures, one.err = s.sendUp(parent, p.only(to))
			} else {
				one.failures, one.err = s.sendDown(parent, child, p.only(to))
			}

			mu.Lock()
			defer mu.Unlock()

			all = append(all, one)
		})
	}

	group.Wait()

	return all
}

// sendUp sends to a parent: with Forward, but to an orchestrator over its stream, where
// nobody answers.
func (s *Session) sendUp(parent *parent, p packet) ([]string, error) {
	if parent.stream == nil {
		return s.forward(parent.conn, p)
	}

	serialized, err := p.encode()
	if err != nil {
		return nil, err
	}

	data := frame(encodePacket(serialized))

	parent.writing.Lock()
	defer parent.writing.Unlock()

	return nil, parent.stream.SendMsg(&data)
}

// sendDown sends to a child, whose stream is opened first where there is none.
func (s *Session) sendDown(parent *parent, gateway Address, p packet) ([]string, error) {
	c, err := s.childAt(gateway, parent.table)
	if err != nil {
		return nil, err
	}

	failures, err := s.forward(c.conn, p)
	if err != nil {
		s.drop(c)
	}

	return failures, err
}

// forward hands a packet to the session at the other end of a connection.
func (s *Session) forward(conn *grpc.ClientConn, p packet) ([]string, error) {
	serialized, err := p.encode()
	if err != nil {
		return nil, fmt.Errorf("failed to serialize msg: %w", err)
	}

	data, err := invoke(outgoing(s.ctx, s.metadata()), conn, "Forward", encodePacket(serialized))
	if err != nil {
		return nil, err
	}

	var answer ack

	err = answer.decode(data)

	return answer.errors, err
}

// metadata are those of every call that belongs to the stream. The gateway is in its
// follower form, also that of an orchestrator.
func (s *Session) metadata() metadata.MD {
	return metadata.Pairs(uriKey, s.uri, streamKey, s.id, gatewayKey, string(s.node.me))
}

// outgoing is a context for the metadata of a call.
func outgoing(ctx context.Context, md ...metadata.MD) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Join(md...))
}
