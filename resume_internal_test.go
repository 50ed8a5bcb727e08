package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// endless is a stream without frames, which the test ends.
type endless struct{ ended chan struct{} }

func (s endless) Context() context.Context { return context.Background() }

func (s endless) Send(*ptypes.Packet) error { return nil }

func (s endless) Recv() (*ptypes.Packet, error) {
	<-s.ended

	return nil, errors.New("ended by the test")
}

// nextStream returns the relay for a stream of the parent, by its epoch.
func nextStream(t *testing.T, epoch string) (*DuplexRelay, endless) {
	t.Helper()

	stream := endless{ended: make(chan struct{})}
	offer := "duplex-1;id=00112233445566778899aabbccddeeff;received=0;frame=262144;epoch=" + epoch

	relay, ok := AcceptRelay(stream, NewAddress("grpc://p:1"), metadata.Pairs(LinkKey, offer))
	require.True(t, ok)

	return relay, stream
}

// Promise L5: a stream that breaks between the moment in which the link takes it and that in
// which the session hears of it is a break like any other: the parent is waited for once
// more, and not for ever.
func TestResumed_StreamThatHasBrokenAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		me := NewAddress("grpc://a:1")
		trees := tree.NewRouter(AddressFactory{})
		s := NewSession(nil, me, nil, trees.GetPacketFactory(), json.NewContext(), NewConnManager()).(*session)

		table, err := trees.New(mino.NewAddresses(), me)
		require.NoError(t, err)

		relay, first := nextStream(t, "1")
		ready := make(chan struct{})

		go s.Listen(relay, table, ready)

		<-ready
		close(first.ended)
		synctest.Wait()

		par := s.parents[0]
		require.Equal(t, broken, par.current())

		time.Sleep(DefaultAdoptionGrace - time.Second) // Virtual time.

		relay, second := nextStream(t, "2")
		require.True(t, par.link.Resume(relay.wire, 2, 0, func(uint64) {}))

		go par.link.Serve(relay.wire)

		close(second.ended)
		synctest.Wait()

		s.resumed(par, 2)
		time.Sleep(DefaultAdoptionGrace - time.Second)
		require.Equal(t, 1, s.GetNumParents(), "the time did not begin again")

		time.Sleep(2 * time.Second)
		require.Zero(t, s.GetNumParents(), "the parent is waited for without an end")
		<-s.Done()
	})
}
