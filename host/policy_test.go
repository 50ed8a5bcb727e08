package host_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errSecret is what the callers must not learn.
var errSecret = errors.New("a secret of the node")

// unless refuses a role.
func unless(role host.Role) host.Option {
	return host.WithPolicy(host.Policy{Allow: func(_ context.Context, request host.Request) error {
		if request.Role == role {
			return errSecret
		}

		return nil
	}})
}

// requireDenied requires that the caller learns that it is refused, and not why.
func requireDenied(w *world, err error) {
	w.Helper()

	require.Equal(w, codes.PermissionDenied, status.Code(err))
	require.NotContains(w, err.Error(), errSecret.Error())
}

// Promise S1: the policy decides who opens a stream.
func TestPolicy_RefusesAnOrchestrator(t *testing.T) {
	inWorld(t, func(w *world) {
		began := false
		h := handler{stream: func(mino.Sender, mino.Receiver) error { began = true; return nil }}
		a, b := w.start("a:1", echo), w.start("b:1", h, unless(host.RoleOrchestrator))

		_, _, err := a.test.Stream(w.Context(), players(b))
		requireDenied(w, err)
		synctest.Wait()
		require.False(w, began)
	})
}

// Promise S1: the policy decides who becomes a parent. The root learns that the player is out of reach.
func TestPolicy_RefusesAParent(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.start("a:1", echo), w.start("b:1", echo), w.start("c:1", echo, unless(host.RoleParent))

		out, in, err := a.test.Stream(w.Context(), players(b, c))
		require.NoError(w, err)
		w.requireEcho(out, in, b)

		for err := range out.Send(text("hello"), c.me) {
			failure, ok := errors.AsType[*session.DeliveryError](err)
			require.True(w, ok)
			require.Equal(w, session.ReasonUnreachable, failure.Reason)
			require.NotContains(w, err.Error(), errSecret.Error())
		}
	})
}

// Promise S1: the policy decides who sends packets in calls. The sender learns that nothing was taken.
func TestPolicy_RefusesAFeeder(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start("a:1", echo, unless(host.RoleFeeder))
		_, err := w.open(a, as("FAstranger:1", "1")...)
		require.NoError(w, err)

		trailer, err := w.forward(a, &ptypes.Packet{}, as("FAstranger:1", "1")...)
		requireDenied(w, err)
		require.Equal(w, []string{session.LinkRefused}, trailer.Get(session.LinkKey))

		b := w.start("b:1", echo)
		_, err = w.open(b, as("FAstranger:1", "1")...)
		require.NoError(w, err)
		_, err = w.forward(b, &ptypes.Packet{}, as("FAstranger:1", "1")...)
		require.Equal(w, codes.InvalidArgument, status.Code(err), "the packet is read")
	})
}

// Promise S1: a caller that is not who it says it is learns nothing, also not which procedures there are.
func TestPolicy_IdentifiesTheCallerFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		var asked []session.Address

		a := w.start("a:1", echo, host.WithPolicy(host.Policy{
			Identify: func(_ context.Context, caller session.Address) error {
				asked = append(asked, caller)

				return status.Error(codes.Unauthenticated, "who are you?")
			},
			Allow: func(context.Context, host.Request) error { panic("nobody has been identified") },
		}))

		md := []string{session.URIKey, "unknown", session.GatewayKey, "OAstranger:1"}
		_, err := w.open(a, md...)
		require.Equal(w, codes.Unauthenticated, status.Code(err))
		_, err = w.forward(a, &ptypes.Packet{}, md...)
		require.Equal(w, codes.Unauthenticated, status.Code(err))

		follower := session.NewAddress("grpc://stranger:1")
		require.Equal(w, []session.Address{follower, follower}, asked)
	})
}

// Promise S1: a policy that panics lets nobody in, and the node goes on.
func TestPolicy_PanicRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		broken := true
		a := w.start("a:1", echo, host.WithPolicy(host.Policy{Allow: func(context.Context, host.Request) error {
			if broken {
				panic(errSecret)
			}

			return nil
		}}))

		_, err := w.open(a, as("FAstranger:1", "1")...)
		require.Equal(w, codes.Internal, status.Code(err))
		_, err = w.forward(a, &ptypes.Packet{}, as("FAstranger:1", "1")...)
		require.Equal(w, codes.Internal, status.Code(err))

		broken = false
		_, err = w.open(a, as("FAstranger:1", "1")...)
		require.NoError(w, err)
	})
}

// account counts what is done with it.
type account struct {
	name             string
	accepted, closed *[]string
}

func (a account) Accepted() { *a.accepted = append(*a.accepted, a.name) }
func (a account) Close()    { *a.closed = append(*a.closed, a.name) }

// Promise R3: what a stream counts for is given back, whatever becomes of the stream.
func TestPolicy_EveryAccountIsClosedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		var accepted, closed []string

		a := w.start("a:1", echo, host.WithPolicy(host.Policy{
			Arrive: func(_ context.Context, md metadata.MD) (host.Account, error) {
				name := md.Get(session.StreamIDKey)[0]
				if name == "full" {
					return nil, status.Error(codes.ResourceExhausted, "full")
				}

				return account{name, &accepted, &closed}, nil
			},
			Allow: func(_ context.Context, request host.Request) error {
				require.Equal(w, request.Stream, request.Account.(account).name)

				if request.Stream == "refused" {
					return errSecret
				}

				return nil
			},
		}))

		_, err := w.open(a, as("FAstranger:1", "full")...)
		require.Equal(w, codes.ResourceExhausted, status.Code(err))
		_, err = w.open(a, as("FAstranger:1", "refused")...)
		requireDenied(w, err)
		_, err = w.open(a, as("nobody", "malformed")...)
		require.Equal(w, codes.InvalidArgument, status.Code(err))
		synctest.Wait()
		require.Empty(w, accepted)
		require.Equal(w, []string{"refused", "malformed"}, closed)

		opened, err := w.open(a, as("FAstranger:1", "good")...)
		require.NoError(w, err)
		synctest.Wait()
		require.Equal(w, []string{"good"}, accepted)
		require.NotContains(w, closed, "good")

		require.NoError(w, opened.Stream.(ptypes.Overlay_StreamClient).CloseSend())
		_, err = opened.Stream.Recv()
		require.Error(w, err)
		synctest.Wait()
		require.Equal(w, []string{"refused", "malformed", "good"}, closed)
	})
}

// Promise S2: only the node that has opened a stream here, and those whom it names, may be a parent.
func TestPolicy_OnlyNamedParentsAdopt(t *testing.T) {
	handshake := []string{session.HandshakeKey, `{"Height":1,"Addresses":[]}`}

	inWorld(t, func(w *world) {
		strict := w.start("a:1", echo, host.WithPolicy(host.Policy{Lineage: host.OnlyNamedParents}))

		_, err := w.open(strict, as("FAparent:1", "1", append(handshake, session.AncestorKey, "FAabove:1")...)...)
		require.NoError(w, err)
		_, err = w.open(strict, as("FAother:1", "1", handshake...)...)
		require.Equal(w, codes.PermissionDenied, status.Code(err))
		_, err = w.open(strict, as("FAparent:1", "1")...)
		require.Equal(w, codes.PermissionDenied, status.Code(err), "a parent is no orchestrator")
		_, err = w.open(strict, as("FAabove:1", "1", handshake...)...)
		require.NoError(w, err)

		open := w.start("b:1", echo)
		for _, gateway := range []string{"FAparent:1", "FAother:1"} {
			_, err = w.open(open, as(gateway, "1", handshake...)...)
			require.NoError(w, err)
		}
	})
}

// Promise O7: the caller of a stream learns that nothing was taken of what came with it.
func TestPolicy_RefusedStreamTakesNothing(t *testing.T) {
	early := offer.Offer{
		ID: offer.NewID(), Epoch: 1, Frame: offer.MaxFrame, Can: []string{"early"}, Early: true,
	}
	handshake := `{"Height":0,"Addresses":[]}`
	offered := []string{session.HandshakeKey, handshake, session.LinkKey, early.Value()}

	for name, tt := range map[string]struct {
		opt     host.Option
		md      []string
		refused bool
	}{
		"policy":         {unless(host.RoleParent), offered, true},
		"no duplex link": {host.WithoutDuplex(), offered, true},
		"no offer":       {host.WithoutDuplex(), []string{session.HandshakeKey, handshake}, false},
		"friendly":       {host.WithMaxPlayers(10), offered, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a := w.start("a:1", echo, tt.opt)

				trailer, err := w.refusal(a, as("FAstranger:1", "1", tt.md...)...)
				require.Equal(w, tt.refused, err != nil, err)
				require.Equal(w, tt.refused, slices.Contains(trailer.Get(session.LinkKey), session.LinkRefused))
			})
		})
	}
}
