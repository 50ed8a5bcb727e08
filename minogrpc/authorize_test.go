package minogrpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errRule is why a rule of these tests refuses. Nobody but the operator may read it.
var errRule = errors.New("secret reason")

// except allows everything to everybody but the node.
func except(name string) minogrpc.Option {
	return minogrpc.WithAuthorizer(func(_ context.Context, caller minogrpc.Caller, _ minogrpc.Procedure) error {
		if caller.Address == addressAt(name) {
			return errRule
		}

		return nil
	})
}

// requireDenied checks that the caller of node a learned nothing, and its operator everything.
func (s *siege) requireDenied(t *testing.T, what string, err error) {
	t.Helper()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	require.Equal(t, "not permitted", status.Convert(err).Message())

	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()

	require.Len(t, s.refusals["a"], 1)
	told := s.refusals["a"][0].Err
	require.ErrorIs(t, told, errRule)
	require.Contains(t, told.Error(), fmt.Sprintf("%v may not %s", addressAt(mallory), what))
	clear(s.refusals)
}

// Promise S2: a member that the authorizer refuses calls nothing, opens no stream in any role,
// and feeds none. It reads no reason.
func TestAuthorizer_RefusedMemberHasNoWayIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, except(mallory))
		mino.MustCreateRPC(s.nodes["a"], "other", echo, texts{})
		client := s.client(t, "a", s.certs[mallory])

		md := streamID(1, "apiuri", "other", "gateway", textAt(mallory))
		asParent := md.Copy()
		asParent.Set(session.HandshakeKey, leaf)

		s.requireDenied(t, `call "other"`, attackCall.call(t.Context(), client, md))
		s.requireDenied(t, `stream "other"`, attackStream.call(t.Context(), client, md))
		s.requireDenied(t, `adopt "other"`, attackStream.call(t.Context(), client, asParent))

		// Also where it would be refused for something else, such as a resumed link.
		resumed := withEpoch(s.metadataOf("a", "epoch", "2", "gateway", textAt(mallory)))
		s.requireDenied(t, `adopt "`+rpcName+`"`, attackStream.call(t.Context(), client, resumed))

		// No stream has been begun that could be fed.
		err := attackForward.call(t.Context(), client, md)
		require.Equal(t, codes.NotFound, status.Code(err), "%v", err)
		err = attackForward.call(t.Context(), client, s.metadataOf("a", "gateway", textAt(mallory)))
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		s.requireStranger(t, "a")

		s.requireUndisturbed(t)
	})
}

// Promise S2: the authorizer is asked about nobody who has not proved an address: a stranger
// gets the same answers as without an authorizer, also to Join and Share.
func TestAuthorizer_IsNotAskedAboutStrangers(t *testing.T) {
	var asked atomic.Int32

	rule := func(_ context.Context, caller minogrpc.Caller, _ minogrpc.Procedure) error {
		asked.Add(1)

		names := []string{nameOf(caller.Address)}
		if caller.Claimed != caller.Address || !slices.Equal(caller.Certificate.DNSNames, names) {
			return errRule
		}

		return nil
	}

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, minogrpc.WithAuthorizer(rule))
		before := asked.Load()
		require.NotZero(t, before)

		for _, a := range []attack{attackCall, attackStream, attackForward, attackShare} {
			err := a.call(t.Context(), s.client(t, "a", newCertificate(t, "thief")), s.metadataOf("a"))
			s.requireTold(t, "a", a.method, codes.PermissionDenied)
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		}

		thief := newCertificate(t, "thief")
		err := s.joinAs(t, thief, "guessed", "FBthief:1", chainOf(thief))
		s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
		require.Equal(t, before, asked.Load())
		s.requireUndisturbed(t)
	})
}

// Promise S1: an authorizer that panics refuses, and its text goes nowhere.
func TestAuthorizer_PanicRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, minogrpc.WithAuthorizer(
			func(_ context.Context, caller minogrpc.Caller, _ minogrpc.Procedure) error {
				if caller.Address == addressAt(mallory) {
					panic("secret")
				}

				return nil
			}))

		md := s.metadataOf("a", "gateway", textAt(mallory))
		err := attackCall.call(t.Context(), s.client(t, "a", s.certs[mallory]), md)
		require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
		require.NotContains(t, err.Error(), "secret")
		s.requireTold(t, "a", attackCall.method, codes.PermissionDenied)
		s.requireUndisturbed(t)
	})
}

// The audit hook is told of every Call, stream and adoption that is allowed, with the proved
// address, and of none that is refused.
func TestObserver_AllowedIsToldOfEveryWayIn(t *testing.T) {
	var (
		mu      sync.Mutex
		allowed []string
	)

	audit := minogrpc.WithObserver(minogrpc.Observer{Allowed: func(c minogrpc.Caller, p minogrpc.Procedure) {
		mu.Lock()
		defer mu.Unlock()

		allowed = append(allowed, fmt.Sprintf("%s %v %s", nameOf(c.Address), p.Access, p.URI))
	}})

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, audit, except(mallory))
		require.ElementsMatch(t, []string{
			"orchestrator stream test",
			"root adopt test", "root adopt test", "root adopt test", "root adopt test", "root adopt test",
			"inner adopt test",
		}, allowed)

		allowed = nil
		client := s.client(t, "a", s.certs["b"])
		require.NoError(t, attackCall.call(t.Context(), client, s.metadataOf("a", "gateway", textAt("b"))))
		require.Error(t, attackCall.call(t.Context(), s.client(t, "a", s.certs[mallory]),
			s.metadataOf("a", "gateway", textAt(mallory))))
		require.Equal(t, []string{"b call test"}, allowed)
	})
}

// Where a caller proves nothing its address is nil: a rule that compares it refuses. What such
// a caller claims it may feed only if it was allowed to open the stream.
func TestAuthorizer_UnprovedCallerHasNoAddress(t *testing.T) {
	for scheme, opts := range map[string][]minogrpc.Option{
		"grpc":  {minogrpc.NoTLS()},
		"grpcs": {minogrpc.AllowUnauthenticatedPeers()},
	} {
		t.Run(scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				t.Cleanup(network.Close)

				var claimed []string

				rule := func(_ context.Context, caller minogrpc.Caller, _ minogrpc.Procedure) error {
					claimed = append(claimed, caller.Claimed.String())

					if caller.Address != session.NewAddress("grpc://friend:1") {
						return errRule
					}

					return nil
				}

				node := startIn(t, network, scheme+"://n1:1", append(opts, minogrpc.WithAuthorizer(rule))...)
				mino.MustCreateRPC(node, rpcName, echo, texts{})

				s := &siege{network: network}
				client := s.clientWith(t, "n1", nil)

				if scheme == "grpcs" {
					client = s.client(t, "n1", nil)
				}

				md := streamID(1, "apiuri", rpcName, "gateway", "FAfriend:1")

				for _, a := range []attack{attackCall, attackStream} {
					err := a.call(t.Context(), client, md)
					require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
				}

				require.Equal(t, []string{"grpc://friend:1", "grpc://friend:1"}, claimed)
				require.Equal(t, codes.NotFound, status.Code(attackForward.call(t.Context(), client, md)))
			})
		})
	}
}
