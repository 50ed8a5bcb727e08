package session

// join returns an observer that tells both, this one first.
func (o Observer) join(next Observer) Observer {
	return Observer{
		RelayOpened:     join2(o.RelayOpened, next.RelayOpened),
		RelayBroken:     join3(o.RelayBroken, next.RelayBroken),
		RelayResumed:    join2(o.RelayResumed, next.RelayResumed),
		RelayLost:       join3(o.RelayLost, next.RelayLost),
		LossKnown:       join2(o.LossKnown, next.LossKnown),
		RelayClosed:     join2(o.RelayClosed, next.RelayClosed),
		RoundTrip:       join3(o.RoundTrip, next.RoundTrip),
		PacketSent:      join3(o.PacketSent, next.PacketSent),
		PacketReceived:  join3(o.PacketReceived, next.PacketReceived),
		PacketDelivered: join2(o.PacketDelivered, next.PacketDelivered),
		PacketDropped:   join2(o.PacketDropped, next.PacketDropped),
		OutcomeKnown:    join2(o.OutcomeKnown, next.OutcomeKnown),
		PacketRefused:   join3(o.PacketRefused, next.PacketRefused),
		MessageRejected: join2(o.MessageRejected, next.MessageRejected),
		QueueDepth:      join3(o.QueueDepth, next.QueueDepth),
	}
}

// join2 returns a function that calls both. A nil function costs nothing.
func join2[A, B any](first, second func(A, B)) func(A, B) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return func(a A, b B) {
			first(a, b)
			second(a, b)
		}
	}
}

// join3 is join2 for functions with three arguments.
func join3[A, B, C any](first, second func(A, B, C)) func(A, B, C) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return func(a A, b B, c C) {
			first(a, b, c)
			second(a, b, c)
		}
	}
}
