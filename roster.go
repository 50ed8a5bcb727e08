package session

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// entryCost is what the roster takes for a player beside the text, in bytes.
const entryCost = 512

// roster is what the session of an orchestrator knows of the players. It has one entry for each at most,
// whoever reads it or not. Its lock comes after those of the session and of the queue.
type roster struct {
	queue *inbox.Inbox
	// wake holds a token when there are news that nobody has been told.
	wake chan struct{}

	mu      sync.Mutex
	entries map[string]*entry
	// untold are the entries with news, in the order in which these have come.
	untold list.List
}

// entry is what is known of one player.
type entry struct {
	player  mino.Address
	state   mino.PlayerState
	version uint64
	text    string

	// place is that among the untold, or nil for one that has been told. The news are told when so
	// many packets have been taken out of the queue: those that were there before them.
	place *list.Element
	turn  uint64

	account *memory.Budget
	cost    int
}

func newRoster(queue *inbox.Inbox) *roster {
	return &roster{queue: queue, wake: make(chan struct{}, 1), entries: make(map[string]*entry)}
}

// note takes news of a player. It returns false if there is no room in the account.
func (r *roster) note(player mino.Address, n *ptypes.News, account *memory.Budget) bool {
	turn := r.queue.Pushed()
	key := sourceKey(player)

	r.mu.Lock()
	defer r.mu.Unlock()

	e := r.entries[key]
	if e == nil {
		e = &entry{player: player}
	}

	state, changed := e.follow(n)
	if !changed {
		e.version = max(e.version, n.GetVersion())

		return true
	}

	if !e.charge(entryCost+len(n.GetText()), account) {
		return false
	}

	e.state, e.text, e.turn = state, n.GetText(), turn
	e.version = max(e.version, n.GetVersion())
	r.entries[key] = e

	if e.place != nil {
		r.untold.Remove(e.place)
	}

	e.place = r.untold.PushBack(e)
	r.wakeLocked()

	return true
}

// charge takes what the entry costs now from its account, which is that of its first news. It returns
// false if there is no room.
func (e *entry) charge(cost int, account *memory.Budget) bool {
	if e.cost == 0 {
		e.account = account
	}

	if more := cost - e.cost; more < 0 {
		e.account.Release(-more)
	} else if !e.account.Reserve(more) {
		return false
	}

	e.cost = cost

	return true
}

// follow returns the state that news make of a player, and whether they tell anything new. What the
// player itself says of its end is final. Of the rest the largest version counts. A node that has never
// reached the player has no version: what it says counts until another node says something newer.
func (e *entry) follow(n *ptypes.News) (mino.PlayerState, bool) {
	switch {
	case e.state == mino.PlayerFinished || e.state == mino.PlayerFailed:
		return e.state, false
	case n.GetState() == ptypes.PlayerState_PLAYER_STATE_FINISHED:
		return mino.PlayerFinished, true
	case n.GetState() == ptypes.PlayerState_PLAYER_STATE_FAILED:
		return mino.PlayerFailed, true
	case n.GetVersion() <= e.version && !isVain(n):
		return e.state, false
	case n.GetState() == ptypes.PlayerState_PLAYER_STATE_LOST:
		return mino.PlayerLost, e.state != mino.PlayerLost
	case e.state == mino.PlayerLost:
		return mino.PlayerBack, true
	default:
		return mino.PlayerReached, e.state == mino.PlayerUnknown
	}
}

// next returns the news whose turn it is, if there are any.
func (r *roster) next(popped uint64) (mino.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	first := r.untold.Front()
	if first == nil {
		return mino.Event{}, false
	}

	e, _ := first.Value.(*entry)
	if e.turn > popped {
		// The caller takes a packet that comes before the news, and another goroutine may wait for these.
		r.wakeLocked()

		return mino.Event{}, false
	}

	r.untold.Remove(first)
	e.place = nil

	// One token may stand for several news.
	r.wakeLocked()

	event := mino.Event{From: wrapAddress(e.player), State: e.state}

	switch e.state {
	case mino.PlayerLost, mino.PlayerFailed:
		event.Cause = errors.New(e.text)
	default:
	}

	return event, true
}

// wakeLocked wakes a reader if there are news.
func (r *roster) wakeLocked() {
	if r.untold.Len() == 0 {
		return
	}

	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// leaveBudget gives back what the roster has of the budget. What is left in it may still be read.
func (r *roster) leaveBudget() {
	r.mu.Lock()
	defer r.mu.Unlock()

	for _, e := range r.entries {
		e.account.Release(e.cost)
		e.cost = 0
	}
}

// RecvEvent implements mino.Watcher. Without news, which the metadata of the stream have to ask for, it
// returns messages alone.
func (s *session) RecvEvent(ctx context.Context) (mino.Event, error) {
	if ctx == nil {
		return mino.Event{}, errNoContext
	}

	var (
		event mino.Event
		other inbox.Other
	)

	if r := s.mailbox.roster; r != nil {
		other = inbox.Other{Wake: r.wake, Next: func(popped uint64) (ok bool) {
			event, ok = r.next(popped)

			return ok
		}}
	}

	packet, err := s.mailbox.queue.PopOr(ctx, other)
	if err != nil || packet == nil {
		return event, err
	}

	event.From, event.Message, err = s.open(packet)

	return event, err
}
