package session

import (
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// observe calls a function of the observer.
func (s *session) observe(call func()) {
	s.fault(contain.Do(call))
}

func (s *session) observeOpened(peer mino.Address) {
	s.logger.Debug().Stringer("peer", printed{peer}).Msg("relay opened")

	if s.observer.RelayOpened != nil {
		s.observe(func() { s.observer.RelayOpened(peer) })
	}
}

func (s *session) observeLost(peer mino.Address, cause error) {
	s.logger.Info().Stringer("peer", printed{peer}).Str("error", textOf(cause)).Msg("relay lost")

	if s.observer.RelayLost != nil {
		s.observe(func() { s.observer.RelayLost(peer, cause) })
	}
}

func (s *session) observeClosed(peer mino.Address) {
	s.logger.Debug().Stringer("peer", printed{peer}).Msg("relay closed")

	if s.observer.RelayClosed != nil {
		s.observe(func() { s.observer.RelayClosed(peer) })
	}
}

func (s *session) observeSent(to mino.Address, packet router.Packet) {
	if s.observer.PacketSent != nil {
		s.observe(func() { s.observer.PacketSent(to, infoOf(packet)) })
	}
}

func (s *session) observeReceived(from mino.Address, packet router.Packet) {
	if s.observer.PacketReceived != nil {
		s.observe(func() { s.observer.PacketReceived(from, infoOf(packet)) })
	}
}

func (s *session) observeDelivery(info PacketInfo) {
	if s.observer.PacketDelivered != nil {
		s.observe(func() { s.observer.PacketDelivered(info) })
	}

	s.observeDepth()
}

func (s *session) observeDepth() {
	if s.observer.QueueDepth != nil {
		s.observe(func() { s.observer.QueueDepth(s.queue.Depth()) })
	}
}

// dropped tells about a destination that this node reports as not reached.
func (s *session) dropped(err *DeliveryError) {
	s.logger.Debug().Err(err).Stringer("reason", err.Reason).Msg("packet dropped")

	if s.observer.PacketDropped != nil {
		s.observe(func() { s.observer.PacketDropped(err) })
	}
}

func (s *session) rejected(err *MessageError) {
	s.logger.Warn().Err(err).Stringer("from", printed{err.From}).Msg("message rejected")

	if s.observer.MessageRejected != nil {
		s.observe(func() { s.observer.MessageRejected(err) })
	}
}
