package session

import "github.com/minogrpc/session/internal/hook"

// join returns an observer that tells both, this one first.
func (o Observer) join(next Observer) Observer {
	return Observer{
		RelayOpened:     hook.Join2(o.RelayOpened, next.RelayOpened),
		RelayBroken:     hook.Join3(o.RelayBroken, next.RelayBroken),
		RelayResumed:    hook.Join2(o.RelayResumed, next.RelayResumed),
		RelayLost:       hook.Join3(o.RelayLost, next.RelayLost),
		LossKnown:       hook.Join2(o.LossKnown, next.LossKnown),
		RelayClosed:     hook.Join2(o.RelayClosed, next.RelayClosed),
		RoundTrip:       hook.Join3(o.RoundTrip, next.RoundTrip),
		PacketSent:      hook.Join3(o.PacketSent, next.PacketSent),
		PacketReceived:  hook.Join3(o.PacketReceived, next.PacketReceived),
		PacketDelivered: hook.Join2(o.PacketDelivered, next.PacketDelivered),
		PacketDropped:   hook.Join2(o.PacketDropped, next.PacketDropped),
		OutcomeKnown:    hook.Join2(o.OutcomeKnown, next.OutcomeKnown),
		PacketRefused:   hook.Join3(o.PacketRefused, next.PacketRefused),
		MessageRejected: hook.Join2(o.MessageRejected, next.MessageRejected),
		QueueDepth:      hook.Join3(o.QueueDepth, next.QueueDepth),
	}
}
