package session

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/rs/zerolog"
)

// witness tells the log and the observer what a session does. It also knows what a panic in
// foreign code costs: the session. It takes no lock, and is never called under one, but for
// fault.
type witness struct {
	logger   zerolog.Logger
	observer Observer
	tracer   Tracer
	queue    *inbox.Inbox
	// stream names the stream, and record counts the outcomes.
	stream StreamInfo
	record record

	// leave ends the session. fault calls it in a goroutine of its own, because its caller may
	// hold the lock of the session.
	leave func(cause error)

	// warned is set when a packet has been refused for its provenance, and dropping when a message
	// has been dropped that was coming.
	warned, dropping atomic.Bool

	// refusedNews counts the news of players that were refused.
	refusedNews atomic.Uint64
}

// fault ends the session if the error is a contained panic: nobody knows the state of the code
// that panicked. It ignores any other error.
func (w *witness) fault(err error) {
	failure, ok := errors.AsType[*contain.PanicError](err)
	if !ok {
		return
	}

	w.logger.Error().Err(err).Bytes("stack", failure.Stack).Msg("panic contained, the session ends")

	go w.leave(err)
}

// observe calls a function of the observer.
func (w *witness) observe(call func()) {
	w.fault(contain.Do(call))
}

func (w *witness) opened(peer mino.Address) {
	w.logger.Debug().Stringer("peer", printed{peer}).Msg("relay opened")

	if w.observer.RelayOpened != nil {
		w.observe(func() { w.observer.RelayOpened(w.stream, peer) })
	}
}

func (w *witness) broken(peer mino.Address, cause error) {
	w.logger.Info().Stringer("peer", printed{peer}).Str("error", detailOf(cause)).Msg("relay broken")

	if w.observer.RelayBroken != nil {
		w.observe(func() { w.observer.RelayBroken(w.stream, peer, cause) })
	}
}

func (w *witness) resumed(peer mino.Address) {
	w.logger.Info().Stringer("peer", printed{peer}).Msg("relay resumed")

	if w.observer.RelayResumed != nil {
		w.observe(func() { w.observer.RelayResumed(w.stream, peer) })
	}
}

func (w *witness) measured(peer mino.Address, roundTrip time.Duration) {
	if w.observer.RoundTrip != nil {
		w.observe(func() { w.observer.RoundTrip(w.stream, peer, roundTrip) })
	}
}

// parted tells about the loss of a link from which nothing follows about the node at the other end.
func (w *witness) parted(peer mino.Address, cause error) {
	w.logger.Info().Stringer("peer", printed{peer}).Str("error", detailOf(cause)).Msg("relay to the parent lost")
	w.relayLost(peer, cause)
}

func (w *witness) relayLost(peer mino.Address, cause error) {
	if w.observer.RelayLost != nil {
		w.observe(func() { w.observer.RelayLost(w.stream, peer, cause) })
	}
}

// noticed tells about the loss of a neighbour that this node notices for all.
func (w *witness) noticed(peer mino.Address, cause error) {
	w.logger.Warn().Stringer("peer", printed{peer}).Bool("noticed", true).
		Str("error", detailOf(cause)).Msg("relay lost")
	w.relayLost(peer, cause)

	loss := Loss{Node: peer, Cause: cause}
	w.record.lose(loss)
	w.lossKnown(loss)
}

// heard tells about a loss that another node has noticed, unless it has been told.
func (w *witness) heard(h hearsay) {
	if !w.record.hear(h.Loss, h.version) {
		return
	}

	w.logger.Info().Stringer("lost", printed{h.Node}).Stringer("from", printed{h.From}).
		Str("error", detailOf(h.Cause)).Msg("heard of a loss")
	w.lossKnown(h.Loss)
}

func (w *witness) lossKnown(loss Loss) {
	if w.observer.LossKnown != nil {
		w.observe(func() { w.observer.LossKnown(w.stream, loss) })
	}
}

func (w *witness) closed(peer mino.Address) {
	w.logger.Debug().Stringer("peer", printed{peer}).Msg("relay closed")

	if w.observer.RelayClosed != nil {
		w.observe(func() { w.observer.RelayClosed(w.stream, peer) })
	}
}

func (w *witness) sent(to mino.Address, packet router.Packet) {
	if w.observer.PacketSent != nil {
		w.observe(func() { w.observer.PacketSent(w.stream, to, infoOf(packet)) })
	}
}

func (w *witness) received(from mino.Address, packet router.Packet) {
	if w.observer.PacketReceived != nil {
		w.observe(func() { w.observer.PacketReceived(w.stream, from, infoOf(packet)) })
	}
}

// wantsDeliveries tells whether the observer asks for deliveries at all.
func (w *witness) wantsDeliveries() bool {
	return w.observer.PacketDelivered != nil || w.observer.QueueDepth != nil
}

func (w *witness) delivered(info PacketInfo) {
	if w.observer.PacketDelivered != nil {
		w.observe(func() { w.observer.PacketDelivered(w.stream, info) })
	}

	w.depth()
}

func (w *witness) depth() {
	if w.observer.QueueDepth != nil {
		w.observe(func() {
			packets, bytes := w.queue.Depth()
			w.observer.QueueDepth(w.stream, packets, bytes)
		})
	}
}

// dropped tells about a destination that this node reports as not reached. It has heard so from a
// neighbour, unless that is nil.
func (w *witness) dropped(from mino.Address, err *DeliveryError) {
	line := w.logger.Debug().Err(err).Stringer("reason", err.Reason)

	if from == nil {
		line.Msg("packet dropped")
	} else {
		line.Stringer("from", printed{from}).Msg("heard of a dropped packet")
	}

	if w.observer.PacketDropped != nil {
		w.observe(func() { w.observer.PacketDropped(w.stream, err) })
	}
}

// outcome tells the outcome of one destination, if the packet is followed.
func (w *witness) outcome(set *pending.Set, key string, err *DeliveryError) {
	if w.observer.OutcomeKnown == nil && w.tracer == nil {
		return
	}

	f, ok := set.Tag().(*followed)
	if !ok {
		return
	}

	o := Outcome{Destination: f.to[key], Err: err, Latency: time.Since(f.at)}

	if f.own && w.observer.OutcomeKnown != nil {
		w.observe(func() { w.observer.OutcomeKnown(w.stream, o) })
	}

	w.known(f, o)
}

func (w *witness) messageRejected(err *MessageError) {
	w.logger.Warn().Err(err).Stringer("from", printed{err.From}).Msg("message rejected")

	if w.observer.MessageRejected != nil {
		w.observe(func() { w.observer.MessageRejected(w.stream, err) })
	}
}

func (w *witness) parentRefused(err error) {
	w.logger.Warn().Err(err).Msg("refused a parent")
	w.fault(err)
}

// packetRefused tells about a packet that was refused for its provenance. It does nothing for
// other errors.
func (w *witness) packetRefused(from mino.Address, err error) {
	if !errors.Is(err, ErrStranger) {
		return
	}

	w.logger.WithLevel(levelOf(&w.warned)).Err(err).Msg("packet refused")

	if w.observer.PacketRefused != nil {
		w.observe(func() { w.observer.PacketRefused(w.stream, from, err) })
	}
}

// newsRefused counts news of a player that were refused. It does nothing for other errors.
func (w *witness) newsRefused(from mino.Address, err error) {
	if !errors.Is(err, errNews) {
		return
	}

	w.refusedNews.Add(1)
	w.logger.Debug().Err(err).Stringer("peer", printed{from}).Msg("news refused")
}

// stalled tells about a message of a neighbour that was dropped before all of it had come.
func (w *witness) stalled(peer mino.Address, err error) {
	w.logger.WithLevel(levelOf(&w.dropping)).Err(err).Stringer("peer", printed{peer}).Msg("message dropped")

	if w.observer.MessageRejected != nil {
		w.observe(func() { w.observer.MessageRejected(w.stream, &MessageError{From: peer, Cause: err}) })
	}
}

// levelOf returns the level at which something is logged that a neighbour can cause. The first time
// says that something is wrong. An attacker could cause any number of others, and must not fill the
// log.
func levelOf(warned *atomic.Bool) zerolog.Level {
	if warned.Swap(true) {
		return zerolog.DebugLevel
	}

	return zerolog.WarnLevel
}

// infoOf describes a packet to the observer.
func infoOf(packet router.Packet) PacketInfo {
	return PacketInfo{
		Source:       packet.GetSource(),
		Destinations: len(packet.GetDestination()),
		Bytes:        len(packet.GetMessage()),
	}
}
