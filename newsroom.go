package session

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/metadata"
)

// A report that has not arrived is sent again after a pause. Each pause is twice the one before.
const (
	firstReportPause = time.Second
	maxReportPause   = time.Minute
)

// tenureStep is the least distance between two registrations of a player. The parent counts what it says
// about the player in between.
const tenureStep = uint64(time.Millisecond)

// newsroom is what a session tells the orchestrator of the players: of its own and of its children. It
// keeps the newest report about each, and sends it until it has arrived.
//
// Its lock is the last of all: outcomes come under the lock of their set. Whoever sends a report holds
// the lock of the session.
type newsroom struct {
	// to is the orchestrator, and toKey its text. They are nil and empty if it has not asked for news.
	to    mino.Address
	toKey string
	me    string
	// resend sends a report whose pause is over, and end the last one of this node.
	resend func(*report)
	end    func()

	mu      sync.Mutex
	closed  bool
	reports map[string]*report
	// flying counts the messages of this node to the orchestrator that have no outcome yet.
	flying int
	// ended is set when the handler has ended, and ending are the news of that while they wait for
	// the messages of the handler.
	ended  bool
	ending *ptypes.News
}

// report is what this session has to say about one player.
type report struct {
	news *ptypes.News
	// known is set when the news have arrived.
	known bool
	// timer sends the news again, and pause is how long it waits. Without a timer the news are under
	// way, or known.
	timer *time.Timer
	pause time.Duration
}

// newsTo returns the orchestrator that a player tells its news, or nil if it wants none, or nobody says
// which one it is.
func newsTo(md metadata.MD, me mino.Address) mino.Address {
	texts := md.Get(OrchestratorKey)
	if !asksForNews(md) || len(texts) != 1 || isOrchestrator(me) {
		return nil
	}

	return NewOrchestratorAddress(AddressFactory{}.FromText([]byte(texts[0])))
}

// isOpen tells whether there is anybody to tell.
func (room *newsroom) isOpen() bool {
	return room.to != nil
}

// reached notes that a child has been reached, with the number of its registration, or 0 if it has said
// none. Then the clock of this node numbers the registration.
func (room *newsroom) reached(key string, tenure uint64) *report {
	room.mu.Lock()
	defer room.mu.Unlock()

	if tenure == 0 {
		tenure = uint64(time.Now().UnixNano())
	}

	// A child may say any number, but this node must be able to say something newer.
	tenure = min(tenure, math.MaxInt64)

	if before := room.reports[key]; before != nil {
		tenure = max(tenure, after(before.news.GetVersion()))
	}

	return room.put(key, &ptypes.News{
		Player: []byte(key), State: ptypes.PlayerState_PLAYER_STATE_REACHED, Version: tenure,
	})
}

// lost notes that a child is lost. It returns nil if that has been reported already. If this node has
// never reached the child, the report has no version, and is worth something only while there is a way
// up: a node that is cut off itself reaches nobody.
func (room *newsroom) lost(key, cause string, way bool) *report {
	room.mu.Lock()
	defer room.mu.Unlock()

	news := &ptypes.News{
		Player: []byte(key), State: ptypes.PlayerState_PLAYER_STATE_LOST, Text: cause,
	}

	before := room.reports[key]

	switch {
	case before == nil && !way, before != nil && before.news.GetState() == news.GetState():
		return nil
	case before != nil:
		news.Version = after(before.news.GetVersion())
	}

	return room.put(key, news)
}

// handlerEnded notes the end of the handler. It returns nil if the report has to wait.
func (room *newsroom) handlerEnded(failed bool, text string) *report {
	room.mu.Lock()
	defer room.mu.Unlock()

	if room.ended {
		return nil
	}

	room.ended = true
	room.ending = &ptypes.News{Player: []byte(room.me), State: ptypes.PlayerState_PLAYER_STATE_FINISHED}

	if failed {
		room.ending.State, room.ending.Text = ptypes.PlayerState_PLAYER_STATE_FAILED, text
	}

	if room.flying > 0 {
		return nil
	}

	return room.last()
}

// last returns the report of the end of the handler, if it is still to be sent.
func (room *newsroom) last() *report {
	if room.ending == nil {
		return nil
	}

	news := room.ending
	room.ending = nil

	return room.put(room.me, news)
}

// put replaces the report about a player.
func (room *newsroom) put(key string, news *ptypes.News) *report {
	if room.closed {
		return nil
	}

	if before := room.reports[key]; before != nil {
		before.stop()
	}

	if room.reports == nil {
		room.reports = make(map[string]*report)
	}

	r := &report{news: news}
	room.reports[key] = r

	return r
}

// after returns the version after another one. A child may say any.
func after(version uint64) uint64 {
	return min(version, math.MaxUint64-1) + 1
}

// repeat returns the reports that a new parent has to pass on: that this session still has its children,
// and those that have not arrived yet. That it could not reach a child may not be true any more.
func (room *newsroom) repeat() []*report {
	room.mu.Lock()
	defer room.mu.Unlock()

	var due []*report

	for key, r := range room.reports {
		switch {
		case r.news.GetState() == ptypes.PlayerState_PLAYER_STATE_REACHED:
			due = append(due, room.put(key, &ptypes.News{
				Player: r.news.GetPlayer(), State: r.news.GetState(), Version: after(r.news.GetVersion()),
			}))
		case isVain(r.news):
			r.stop()
			delete(room.reports, key)
		case r.timer != nil:
			r.stop()
			due = append(due, r)
		}
	}

	return due
}

// isVain tells whether news say that the sender has never reached a player.
func isVain(n *ptypes.News) bool {
	return n.GetState() == ptypes.PlayerState_PLAYER_STATE_LOST && n.GetVersion() == 0
}

// close forgets everything.
func (room *newsroom) close() {
	room.mu.Lock()
	defer room.mu.Unlock()

	for _, r := range room.reports {
		r.stop()
	}

	room.closed, room.reports, room.ending = true, nil, nil
}

// stop calls off the next sending.
func (r *report) stop() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// watch returns a waiter for the outcomes of a message of this node, which also counts the message while
// it is under way to the orchestrator.
func (room *newsroom) watch(waiter pending.Waiter, keys []string) pending.Waiter {
	if !room.isOpen() {
		return waiter
	}

	place := slices.Index(keys, room.toKey)
	if place < 0 {
		return waiter
	}

	room.mu.Lock()
	defer room.mu.Unlock()

	if room.ended {
		return waiter
	}

	room.flying++

	return &flight{Waiter: waiter, room: room, place: place}
}

// flight implements pending.Waiter for a message to the orchestrator.
type flight struct {
	pending.Waiter

	room  *newsroom
	place int
}

// Settled implements pending.Waiter.
func (f *flight) Settled(i, left int, err error) {
	f.Waiter.Settled(i, left, err)

	if i != f.place {
		return
	}

	f.room.mu.Lock()
	defer f.room.mu.Unlock()

	f.room.flying--
	if f.room.flying == 0 && f.room.ending != nil {
		// Under the lock of the outcomes nobody may take that of the session.
		time.AfterFunc(0, f.room.end)
	}
}

// mailing implements pending.Waiter for the news that are sent with a report.
type mailing struct {
	room   *newsroom
	report *report
}

// Settled implements pending.Waiter.
func (m mailing) Settled(_, _ int, err error) {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()

	r := m.report

	switch {
	case err == nil:
		r.known = true
		r.stop()
	case r.known || r.timer != nil || m.room.closed || m.room.reports[string(r.news.GetPlayer())] != r:
	default:
		r.pause = min(max(2*r.pause, firstReportPause), maxReportPause)
		r.timer = time.AfterFunc(r.pause, func() { m.room.resend(r) })
	}
}
