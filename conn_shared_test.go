package session_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Promise L3: who still has a connection that another one has evicted reaches the peer again. The
// relay to a parent has one for as long as the stream of the parent lasts.
func TestConnManager_CallsAfterAnEvictionTakeTheNextConnection(t *testing.T) {
	evictions := map[string]func(*session.ConnManager, mino.Address, grpc.ClientConnInterface){
		"evicted": func(m *session.ConnManager, to mino.Address, _ grpc.ClientConnInterface) { m.Evict(to) },
		"replaced": func(m *session.ConnManager, to mino.Address, conn grpc.ClientConnInterface) {
			m.Replace(to, conn)
		},
	}

	for name, evict := range evictions {
		t.Run(name, func(t *testing.T) {
			inNetwork(t, func(t *testing.T, n network) {
				n.peer("n1", &sessiontest.Peer{})
				mgr, dials := n.conns()

				kept := acquire(t, mgr, addr("n1"))
				require.NoError(t, call(kept))

				evict(mgr, addr("n1"), acquire(t, mgr, addr("n1")))
				mgr.Release(addr("n1"))

				// Nobody else has dialled yet, and then somebody has.
				require.NoError(t, call(kept))
				require.EqualValues(t, 2, dials.Load())

				fresh := acquire(t, mgr, addr("n1"))
				require.NoError(t, call(fresh))
				require.NoError(t, call(kept))
				require.EqualValues(t, 2, dials.Load())

				// An old connection that is given up once more does not cost the others the new one.
				mgr.Replace(addr("n1"), kept)
				require.NoError(t, call(fresh))
				require.EqualValues(t, 2, dials.Load())

				mgr.Release(addr("n1"))
				mgr.Release(addr("n1"))
				require.Zero(t, mgr.Len())
			})
		})
	}
}

// The stream of an evicted connection hangs or ends, and its owner acquires another connection.
func TestConnManager_StreamsDoNotFollowAnEviction(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		mgr, dials := n.conns()

		kept := acquire(t, mgr, addr("n1"))
		mgr.Replace(addr("n1"), kept)

		_, err := ptypes.NewOverlayClient(kept).Stream(t.Context())
		require.Equal(t, codes.Canceled, status.Code(err))
		require.Zero(t, dials.Load())
	})
}

// Promise L6: nothing is dialled for a call after Close.
func TestConnManager_CallsAfterAnEvictionAndCloseFail(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{})
		mgr, dials := n.conns()

		kept := acquire(t, mgr, addr("n1"))
		mgr.Evict(addr("n1"))
		require.NoError(t, mgr.Close())

		err := call(kept)
		require.Equal(t, codes.Canceled, status.Code(err))
		require.ErrorContains(t, err, session.ErrClosed.Error())
		synctest.Wait()
		require.Zero(t, dials.Load())
	})
}
