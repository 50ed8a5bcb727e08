package worlds_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// thrifty is a message that serializes itself into a buffer that it uses again.
type thrifty struct {
	buffer []byte
	text   *string
}

func (m thrifty) Serialize(serde.Context) ([]byte, error) {
	copy(m.buffer, *m.text)

	return m.buffer, nil
}

// complaints is a test that notes what fails it.
type complaints struct {
	testing.TB

	texts []string
}

func (f *complaints) Errorf(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

// The check of a network finds a message that changes its bytes while it is under way, and none
// that does not.
func TestCheckMessages_FindsReusedBuffers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		found := &complaints{TB: t}
		w.net.CheckMessages(found)

		answer := make(chan struct{}, 3)
		w.peer("b", &sessiontest.Peer{OnForward: func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
			<-answer

			return &ptypes.Ack{}, nil
		}})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		text := "first"
		msg := thrifty{buffer: make([]byte, len(text)), text: &text}

		answer <- struct{}{}

		require.Empty(t, w.outcomes(sess.Send(msg, addr("b"))))
		require.Empty(t, found.texts)

		// The first one is at b when the buffer changes.
		first := sess.Send(msg, addr("b"))

		synctest.Wait()

		text = "other"
		second := sess.Send(msg, addr("b"))

		close(answer)
		require.Empty(t, w.outcomes(first))
		require.Empty(t, w.outcomes(second))

		require.Len(t, found.texts, 1)
		require.Contains(t, found.texts[0], "thrifty: the bytes that Serialize has returned were changed")
	})
}
