package worlds_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/existing/mimic"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// newsPacket returns a packet without a message, and with news.
func (w *world) newsPacket(source, to mino.Address, player string, state ptypes.PlayerState) *ptypes.Packet {
	data, err := w.table(3, source).Make(source, []mino.Address{to}, nil).Serialize(json.NewContext())
	require.NoError(w, err)

	return &ptypes.Packet{
		Serialized: data, News: &ptypes.News{Player: []byte(player), State: state, Version: 1},
	}
}

// newsCase is news that come from a neighbour.
type newsCase struct {
	from   string
	to     mino.Address
	player string
	state  ptypes.PlayerState
	taken  bool
	off    bool
}

// newsCases returns news of all kinds for a node whose parent is p, and whose child b0 has c0 behind it.
func newsCases() map[string]newsCase {
	top := orchestratorOf(addr("o"))
	reached, finished := ptypes.PlayerState_PLAYER_STATE_REACHED, ptypes.PlayerState_PLAYER_STATE_FINISHED

	return map[string]newsCase{
		"of the child":                     {from: "b0", to: top, player: "FAb0:1", state: reached, taken: true},
		"of one behind it":                 {from: "b0", to: top, player: "FAc0:1", state: reached, taken: true},
		"of the end of the child":          {from: "b0", to: top, player: "FAb0:1", state: finished, taken: true},
		"of a sibling":                     {from: "b0", to: top, player: "FAb1:1", state: reached},
		"of one behind a sibling":          {from: "b0", to: top, player: "FAc1:1", state: reached},
		"of this node":                     {from: "b0", to: top, player: "FAa:1", state: reached},
		"of the parent":                    {from: "b0", to: top, player: "FAp:1", state: reached},
		"of no player":                     {from: "b0", to: top, player: "FAz:1", state: reached},
		"of nothing":                       {from: "b0", to: top, player: "", state: reached},
		"of an unknown kind":               {from: "b0", to: top, player: "FAb0:1", state: 77},
		"of the end of another one":        {from: "b0", to: top, player: "FAc0:1", state: finished},
		"from above":                       {from: "p", to: top, player: "FAb0:1", state: reached},
		"from a stranger":                  {from: "z", to: top, player: "FAb0:1", state: reached},
		"for this node":                    {from: "b0", to: addr("a"), player: "FAb0:1", state: reached},
		"for another player":               {from: "b0", to: addr("b1"), player: "FAb0:1", state: reached},
		"for the player on that node":      {from: "b0", to: addr("o"), player: "FAb0:1", state: reached},
		"for an orchestrator without news": {from: "b0", to: top, player: "FAb0:1", state: reached, off: true},
	}
}

// Promise P2: a node takes news from below alone, for the orchestrator alone, and only of players that its
// table has behind the neighbour. It says so for each that it refuses.
func TestNews_OfALiarAreRefused(t *testing.T) {
	for name, test := range newsCases() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var log bytes.Buffer

				md := metadata.Pairs("apiuri", "test", "streamid", "1", session.OrchestratorKey, "FAo:1")
				if !test.off {
					md.Set(session.NewsKey, "1")
				}

				w.peer("b0", &sessiontest.Peer{})
				sess := w.sessionWith(md, addr("a"), session.WithLogger(zerolog.New(zerolog.SyncWriter(&log))))
				w.listen(sess, fake.NewRelay(addr("p"), nil), w.table(2, addr("a"), below("b", "c")...))

				for err := range sess.Send(fake.Message("hello"), addr("b0")) {
					require.NoError(t, err)
				}

				packet := w.newsPacket(addr(test.from), test.to, test.player, test.state)
				ack, err := sess.RecvPacket(addr(test.from), packet)
				synctest.Wait()

				if test.taken {
					require.NoError(t, err)
					// The parent is a node that may not know news.
					require.Contains(t, ack.GetErrors()[0], "takes no news")
				} else {
					require.ErrorIs(t, err, session.ErrNotTaken)
					require.ErrorContains(t, err, "news refused")
				}

				require.Equal(t, !test.taken, bytes.Contains(log.Bytes(), []byte(`"message":"news refused"`)))
				require.Equal(t, !test.taken, sess.(session.Inspector).Snapshot().RefusedNews == 1)

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()

				_, _, err = sess.Recv(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded, "no message")
			})
		})
	}
}

// existing starts an existing node of that number.
func (w *watched) existing(i int, play streamFunc) *existing.Node {
	listener, err := w.net.Listen(nodeName(i))
	require.NoError(w, err)

	node, err := existing.Start(existing.Config{
		Listener: listener, Host: nodeName(i), Dial: w.net.Dialer(nodeName(i)), Store: existing.NewStore(), Height: 3,
	})
	require.NoError(w, err)
	node.Handle("watched", mimic.Handler(numbered{play: play, me: i}, fake.MessageFactory{}))

	return node
}

// Promise P2: of an existing node only reached and lost are known. As the root it gets no message that
// nobody has sent, and neither does any player.
func TestNews_OfExistingNodes(t *testing.T) {
	for name, test := range map[string]struct {
		existing int
		want     []string
	}{
		"a player":    {existing: 1, want: []string{"0 reached", "1 reached", "2 reached", "1 lost"}},
		"as the root": {existing: 0, want: []string{"0 reached", "0 lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watched{T: t, net: sessiontest.NewNetwork()}
				got := make(chan string, 100)
				play := func(_ int, _ mino.Sender, in mino.Receiver) error {
					for {
						_, msg, err := in.Recv(context.Background())
						if msg == nil {
							return err
						}

						got <- string(msg.(fake.Message))
					}
				}

				old := w.existing(test.existing, play)

				players := addrs("n0", "n1", "n2")

				for i := range 3 {
					if i != test.existing {
						mino.MustCreateRPC(w.start(i), "watched", numbered{play: play}, fake.MessageFactory{})
					} else {
						w.nodes = append(w.nodes, nil)
					}
				}

				w.open(t.Context(), w.start(3), players)

				news := w.news(time.Second)
				old.Kill()
				require.ElementsMatch(t, test.want, append(news, w.news(time.Minute)...))

				for i, node := range w.nodes {
					if i != test.existing {
						require.NoError(t, node.Stop())
					}
				}

				require.Len(t, got, 3)
				require.Empty(t, old.Oddities())
				w.net.Close()
			})
		})
	}
}
