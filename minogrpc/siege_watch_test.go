package minogrpc_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// handler is an echo of which is known what it hears.
func (s *siege) handler(name string) mino.Handler {
	return handler{
		process: echo.process,
		stream: func(out mino.Sender, in mino.Receiver) error {
			s.note(func() { s.life = append(s.life, name+" begins") })
			defer s.note(func() { s.life = append(s.life, name+" ends") })

			for {
				from, msg, err := in.Recv(context.Background())
				if err != nil {
					return nil
				}

				s.note(func() { s.heard[name] = append(s.heard[name], msg.(text)) })
				out.Send(msg, from)
			}
		},
	}
}

// collect reads the answers.
func (s *siege) collect(in mino.Receiver) {
	for {
		from, msg, err := in.Recv(context.Background())
		if err != nil {
			s.note(func() { s.life = append(s.life, "the stream ends") })

			return
		}

		s.note(func() { s.answers[nameOf(from)] = append(s.answers[nameOf(from)], msg.(text)) })
	}
}

// round asks all the players once more, and checks that this and what was before is all
// that anybody has heard: the stream goes on, and nobody has added to it.
func (s *siege) round(t *testing.T) {
	t.Helper()

	s.asked = append(s.asked, text(fmt.Sprintf("question %d", len(s.asked)+1)))
	requireDelivered(t, s.out.Send(s.asked[len(s.asked)-1], addressesAt(s.players()...)...))
	time.Sleep(time.Second) // Virtual time, for the answers.
	synctest.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()

	for _, name := range s.players() {
		require.Equal(t, s.asked, s.heard[name], name)
		require.Equal(t, s.asked, s.answers[name], name)
	}

	require.Len(t, s.answers, len(s.players()), "somebody else has answered")
	require.Len(t, s.life, len(s.players()), "a handler has begun again, or has ended")
}

// requireUndisturbed checks that the stream goes on, now and when whatever waits has
// waited enough.
func (s *siege) requireUndisturbed(t *testing.T) {
	t.Helper()

	s.round(t)
	time.Sleep(2 * time.Minute) // Virtual time.
	s.round(t)
}

// requireTold checks that the observer of a node, and no other one, has been told of one
// refusal, and forgets it.
func (s *siege) requireTold(t *testing.T, name, method string, code codes.Code) {
	t.Helper()
	synctest.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()

	require.Len(t, s.refusals, 1)
	require.Len(t, s.refusals[name], 1)
	require.Equal(t, code, status.Code(s.refusals[name][0].Err))
	require.Equal(t, method, s.refusals[name][0].Method)
	require.Equal(t, attacker, s.refusals[name][0].Peer.String())
	clear(s.refusals)
}

// requireStranger checks that the observer of the sessions of a node, and no other one, has
// been told of one packet from somebody who must not send it, and forgets it.
func (s *siege) requireStranger(t *testing.T, name string) {
	t.Helper()

	s.mu.Lock()
	defer s.mu.Unlock()

	require.Len(t, s.packets, 1)
	require.Len(t, s.packets[name], 1)
	require.ErrorIs(t, s.packets[name][0], session.ErrStranger)
	clear(s.packets)
}
