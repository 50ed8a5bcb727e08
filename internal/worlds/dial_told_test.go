package worlds_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Promise S5: what a failed dial has said stays with the node that has dialled. Others are told
// the kind, whether the outcome travels as a text or typed.
func TestDial_OthersAreToldTheKindOfAFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		peer *sessiontest.Peer
		told string
	}{
		"nobody there": {nil, "refused"},
		"unavailable":  {&sessiontest.Peer{Refuse: status.Error(codes.Unavailable, "secret 10.0.0.1")}, "refused"},
		"not trusted":  {&sessiontest.Peer{Refuse: status.Error(codes.PermissionDenied, "secret")}, "not trusted"},
		"too late":     {&sessiontest.Peer{Refuse: status.Error(codes.DeadlineExceeded, "secret 10.0.0.1")}, "timeout"},
		"i/o timeout":  {&sessiontest.Peer{Refuse: status.Error(codes.Unavailable, "secret i/o timeout")}, "timeout"},
		"handshake": {
			&sessiontest.Peer{Refuse: status.Error(codes.Unavailable, "authentication handshake failed: secret")},
			"not trusted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if tt.peer != nil {
					w.peer("b", tt.peer)
				}

				var lost []error

				observer := session.Observer{RelayLost: func(_ session.StreamInfo, _ mino.Address, err error) {
					lost = append(lost, err)
				}}
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithObserver(observer))

				ack, err := sess.RecvPacket(orchestratorAddr(), w.packet(orchestratorAddr(), addr("b")))
				require.NoError(t, err)
				require.Equal(t, []string{"no route to grpc://b:1: " + tt.told}, ack.GetErrors())
				require.Equal(t, tt.told, ack.GetFailures()[0].GetCause())

				// The node itself knows more.
				synctest.Wait()
				require.Len(t, lost, 1)
				require.ErrorContains(t, lost[0], "failed to open the stream")

				time.Sleep(time.Minute) // Virtual time: it is tried again only after a pause.

				errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
				require.Greater(t, len(errs[0].Cause.Error()), len(tt.told))
				require.Equal(t, tt.peer != nil, strings.Contains(errs[0].Cause.Error(), "secret"))
			})
		})
	}
}

func orchestratorAddr() mino.Address { return session.NewOrchestratorAddress(addr("orchestrator")) }

// Promise S5: the sessions of a node dial a bounded number of children at once, all together.
func TestDial_SessionsShareALimit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		limit := session.NewDialLimit(4) // One place is kept for links that have broken.
		names := []string{"b", "c", "d", "e"}
		dialling, most := 0, 0
		turn := make(chan struct{}, 1)

		var all []*neighbour

		for _, me := range addrs("a1", "a2", "a3") {
			sess, children := w.diallingWith([]session.Option{session.WithDialLimit(limit)}, me, names...)
			for _, child := range children {
				all = append(all, child)
				child.refuse = slowly(turn, &dialling, &most, time.Second)
			}

			parent := fake.NewRelay(orchestratorAddr(), nil)
			w.listen(sess, parent, w.table(1, me, addrs(names...)...))
			sess.Send(fake.Message("hello"), addrs(names...)...)
		}

		time.Sleep(10 * time.Second) // Virtual time.
		synctest.Wait()

		for _, child := range all {
			require.Len(t, child.received(), 1)
		}

		// A child may be dialled again at this moment.
		turn <- struct{}{}

		require.Equal(t, 3, most)
		<-turn
	})
}
