package session

import (
	"errors"

	"github.com/minogrpc/session/internal/dedupe"
	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/router"
)

var (
	errStale = errors.New("too old to tell whether it was delivered before")
	errLate  = errors.New("a later message of the same sender was delivered before")
)

// mailbox decides whether a packet for this node enters the queue. It belongs to the lock of the
// session, but for the queue, which has a lock of its own.
type mailbox struct {
	queue *inbox.Inbox
	// key is the text of this node's address.
	key  string
	seen dedupe.Memory
	// recvClosed is set when packets for this node are refused, while others are passed on.
	recvClosed bool
	// roster takes the news of players. It is nil unless this node is an orchestrator that wants them.
	roster *roster
}

// deliver puts a packet into the queue. It returns false and no error for a second copy, whose
// outcome is that of the first: delivered.
//
// A packet that has kept the order of the sends until here, and arrives after a later one all
// the same, was given up on its way. Its sender may have been told so.
//
// The neighbour is where the packet has come from, as far as the session knows it.
func (m *mailbox) deliver(h link.Header, neighbour string, mine router.Packet) (
	delivered bool, reason Reason, err error,
) {
	switch verdict := m.seen.Check(h.Source, h.Origin, h.Sequence); {
	case verdict == dedupe.Seen:
		return false, 0, nil
	case verdict == dedupe.Stale:
		return false, ReasonTimeout, errStale
	case verdict == dedupe.Late && !h.Unordered:
		return false, ReasonTimeout, errLate
	case m.recvClosed:
		return false, ReasonClosed, errCanceled
	case !m.seen.Hold(neighbour, h.Account, h.Source, h.Origin):
		return false, ReasonOverflow, memory.ErrExhausted
	}

	if h.News() != nil {
		return m.deliverNews(h, neighbour)
	}

	err = m.queue.Push(inbox.Entry{
		Packet:  mine,
		Size:    parcel.Size(mine.GetMessage(), h.Source, []string{m.key}),
		Since:   h.Since,
		Account: h.Account,
	})

	switch {
	case errors.Is(err, inbox.ErrClosed):
		return false, ReasonClosed, errCanceled
	case err != nil:
		return false, ReasonOverflow, err
	}

	m.seen.Mark(neighbour, h.Source, h.Origin, h.Sequence)

	return true, 0, nil
}

// deliverNews puts news into the roster.
func (m *mailbox) deliverNews(h link.Header, neighbour string) (delivered bool, reason Reason, err error) {
	if m.roster == nil {
		return false, ReasonRejected, errNews
	}

	news := h.News()
	if !m.roster.note(AddressFactory{}.FromText(news.GetPlayer()), news, h.Account) {
		return false, ReasonOverflow, memory.ErrExhausted
	}

	m.seen.Mark(neighbour, h.Source, h.Origin, h.Sequence)

	// Nothing has come into the queue.
	return false, 0, nil
}
