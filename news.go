package session

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/provenance"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/metadata"
)

// NewsKey is the metadata key with which an orchestrator asks for news of the players: see
// [mino.Watcher]. Any value will do. It belongs to the metadata of NewSession, at the orchestrator and,
// together with [OrchestratorKey], at each player whose parent has sent it. The session passes it on with
// the streams to its children, and not with calls. An orchestrator takes only news of the players that
// it has named with [WithSources].
const NewsKey = "session-news"

// LinkNews is the value of [LinkKey] by which a parent says that it takes news of players in calls. It
// needs no answer.
const LinkNews = "news"

// NewsReporter is implemented by the sessions that [NewSession] returns.
type NewsReporter interface {
	// HandlerEnded tells the orchestrator that the handler of this node has ended, if the orchestrator
	// has asked for news. An error that is or wraps io.EOF is that of Recv at the end of the stream, and
	// counts as none. The news leave when the messages that the handler has sent to the orchestrator
	// have their outcomes, or when the session ends. So an overlay calls HandlerEnded before CloseRecv,
	// Leave or CloseWithError. It does not wait, and only the first call counts.
	HandlerEnded(err error)
}

// asksForNews tells whether the orchestrator of a stream with these metadata wants news.
func asksForNews(md metadata.MD) bool {
	return len(md.Get(NewsKey)) > 0
}

// errNews is wrapped by the errors of news that this node neither takes nor passes on.
var errNews = errors.New("news refused")

// checkNewsLocked returns the news that have come with a packet, within bounds. It returns an error for
// news that the neighbour cannot know.
func (s *session) checkNewsLocked(in arrival, packet router.Packet, to recipients) (news *ptypes.News, err error) {
	defer contain.Recover(&err) // The tables are not ours.

	n := in.GetNews()
	goal := s.newsroom.toKey

	if s.mailbox.roster != nil {
		goal = s.meKey
	}

	switch {
	case goal == "":
		return nil, fmt.Errorf("%w: the orchestrator has not asked for any", errNews)
	case len(to.keys) != 1 || to.keys[0] != goal || to.size > 0:
		return nil, fmt.Errorf("%w: they are not for the orchestrator alone", errNews)
	case len(n.GetPlayer()) == 0 || len(n.GetPlayer()) > maxHop || !isState(n.GetState()):
		return nil, fmt.Errorf("%w: malformed", errNews)
	}

	player := AddressFactory{}.FromText(n.GetPlayer())

	if !s.mayTellLocked(in, packet, player, n.GetState()) {
		return nil, fmt.Errorf("%w: %s cannot tell of %s", errNews, nameOf(in.addr), nameOf(player))
	}

	return &ptypes.News{
		Player: n.GetPlayer(), State: n.GetState(), Version: n.GetVersion(), Text: bounded(n.GetText(), maxNewsText),
	}, nil
}

// isState tells whether this version knows a state.
func isState(state ptypes.PlayerState) bool {
	return state >= ptypes.PlayerState_PLAYER_STATE_REACHED && state <= ptypes.PlayerState_PLAYER_STATE_FAILED
}

// isFinal tells whether a player itself says this, and nothing comes after it.
func isFinal(state ptypes.PlayerState) bool {
	return state >= ptypes.PlayerState_PLAYER_STATE_FINISHED
}

// mayTellLocked tells whether a neighbour can know something of a player. The orchestrator knows the
// players, and the root may tell it of each. Any other node takes only news from below, of players that
// its tables have behind that neighbour.
func (s *session) mayTellLocked(in arrival, packet router.Packet, player mino.Address, state ptypes.PlayerState) bool {
	if isFinal(state) && sourceKey(packet.GetSource()) != sourceKey(player) {
		return false
	}

	if s.mailbox.roster != nil {
		return s.screen.isSource(player)
	}

	key, err := keyOf(player)
	if err != nil || in.down || s.parents.byKey(in.from) != nil {
		return false
	}

	var usual [usualParents]provenance.Registration

	return s.screen.book.Behind(s.meKey, provenance.Node{Key: in.from, Addr: in.addr},
		provenance.Node{Key: key, Addr: player}, s.parents.registrations(usual[:0]))
}

// maxNewsText bounds the text of news, in bytes, so that with the mark of a cut it has maxText.
const maxNewsText = maxText - len("…")

// newsText returns what news say about a cause. It is empty if there are no news, or no cause.
func (s *session) newsText(cause error) string {
	if cause == nil || !s.newsroom.isOpen() && s.mailbox.roster == nil {
		return ""
	}

	return textOf(cause, maxNewsText)
}

// gatherNews prepares for the news of players, if the metadata ask for them.
func (s *session) gatherNews(md metadata.MD) {
	if asksForNews(md) && isOrchestrator(s.me) {
		s.mailbox.roster = newRoster(s.mailbox.queue)
	}

	s.newsroom.to, s.newsroom.me = newsTo(md, s.me), s.meKey
	s.newsroom.resend, s.newsroom.end = s.reportAgain, s.reportEnd

	if s.newsroom.isOpen() {
		s.newsroom.toKey, _ = keyOf(s.newsroom.to)
	}
}
