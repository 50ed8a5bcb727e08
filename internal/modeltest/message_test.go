package modeltest_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
)

// message is one Send.
type message struct {
	id     string
	sender *part
	to     []place // each once
	at     time.Time
	// must are the destinations that have to be reached, whatever was wrong before.
	must []place

	// done is closed when the channel of the outcomes is, and what follows is set.
	done    chan struct{}
	settled time.Time
	errs    map[place]*session.DeliveryError
	// start and end are the moments of the call and of the last outcome.
	start, end int
}

// send sends one message, if the place has a session to send from.
func (w *world) send(from place, to []place, size int, await bool, must ...place) {
	sender := w.current(from)
	if sender == nil {
		w.notef("%v has no session to send from", from)

		return
	}

	m := w.newMessage(sender, to)
	m.must = must

	var addrs []mino.Address
	for _, p := range to {
		addrs = append(addrs, w.address(p))
	}

	outcomes := sender.out.Send(fake.Message(m.id+strings.Repeat(" ", size)), addrs...)

	go w.collect(m, outcomes)

	if await {
		select {
		case <-m.done:
		case <-time.After(w.outcome + time.Second): // Found by the check.
		}
	}
}

func (w *world) newMessage(sender *part, to []place) *message {
	w.mu.Lock()
	defer w.mu.Unlock()

	m := &message{
		id:     strconv.Itoa(len(w.messages)),
		sender: sender,
		at:     time.Now(),
		done:   make(chan struct{}),
		errs:   make(map[place]*session.DeliveryError),
		start:  w.tickLocked(),
	}

	for _, p := range to {
		if !slices.Contains(m.to, p) {
			m.to = append(m.to, p)
		}
	}

	w.messages = append(w.messages, m)
	w.noteLockedf("message %s: %v -> %v", m.id, sender.place, m.to)

	return m
}

// collect reads the outcomes of a message.
func (w *world) collect(m *message, outcomes <-chan error) {
	for err := range outcomes {
		w.mu.Lock()
		w.failedLocked(m, err)
		w.mu.Unlock()
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	m.settled, m.end = time.Now(), w.tickLocked()

	w.noteLockedf("message %s: settled", m.id)
	close(m.done)
}

// failedLocked takes one error. Promise O1: each destination has one outcome, and
// nobody else has any.
func (w *world) failedLocked(m *message, err error) {
	var failure *session.DeliveryError

	if !errors.As(err, &failure) {
		w.violatedLockedf("message %s: the outcome is no DeliveryError: %v", m.id, err)

		return
	}

	w.noteLockedf("message %s: %v, says %v: %v", m.id, failure.Reason, failure.Hop, err)

	if len(m.to) == 0 && failure.Destination == nil {
		return
	}

	i := slices.IndexFunc(m.to, func(p place) bool { return w.address(p).Equal(failure.Destination) })

	switch {
	case i < 0:
		w.violatedLockedf("message %s: an outcome for %v, which is no destination", m.id, failure.Destination)
	case m.errs[m.to[i]] != nil:
		w.violatedLockedf("message %s: a second outcome for %v", m.id, m.to[i])
	default:
		m.errs[m.to[i]] = failure
	}
}

// receivedLocked takes a message that a session has received. Promise M2: once at
// most.
func (w *world) receivedLocked(p *part, from mino.Address, id string) {
	w.noteLockedf("message %s: received by %v", id, p.place)

	number, err := strconv.Atoi(id)
	if err != nil || number >= len(w.messages) {
		w.violatedLockedf("%v receives %q, which nobody has sent", p.place, id)

		return
	}

	m := w.messages[number]
	_, twice := p.got[id]

	switch {
	case twice && w.mayRepeatLocked(m, p.place):
		return
	case twice:
		w.violatedLockedf("message %s: received twice by the same session of %v", id, p.place)
	case !slices.Contains(m.to, p.place):
		w.violatedLockedf("message %s: received by %v, which is no destination", id, p.place)
	case !session.FollowerOf(from).Equal(session.FollowerOf(w.address(m.sender.place))):
		w.violatedLockedf("message %s: received by %v as from %v", id, p.place, from)
	}

	p.order[id] = len(p.got)
	p.got[id] = time.Now()
}
