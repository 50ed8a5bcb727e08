package inbox_test

import (
	"context"
	"io"
	"testing"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Promise M1: the inbox does what the simplest queue would do.
func TestInbox_BehavesAsASlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		maxPackets := rapid.IntRange(1, 300).Draw(rt, "maxPackets")
		maxBytes := rapid.IntRange(1, 1000).Draw(rt, "maxBytes")
		model := &inboxModel{
			b:          inbox.New(maxPackets, maxBytes, nil),
			maxPackets: maxPackets,
			maxBytes:   maxBytes,
		}

		rt.Repeat(map[string]func(*rapid.T){
			"push":  model.push,
			"burst": model.burst,
			"pop":   model.pop,
			"drain": model.drain,
			"close": model.close,
			"":      model.check,
		})
	})
}

// inboxModel does to a slice what it does to an inbox.
type inboxModel struct {
	b                           *inbox.Inbox
	maxPackets, maxBytes, bytes int
	packets                     [][]byte
	closed                      bool
}

func (m *inboxModel) push(rt *rapid.T) {
	m.pushOne(rt, make([]byte, rapid.IntRange(0, 50).Draw(rt, "size")))
}

func (m *inboxModel) burst(rt *rapid.T) {
	for range rapid.IntRange(1, 200).Draw(rt, "count") {
		m.pushOne(rt, []byte{byte(len(m.packets))})
	}
}

func (m *inboxModel) pushOne(rt *rapid.T, message []byte) {
	full := len(m.packets) >= m.maxPackets || m.bytes+len(message) > m.maxBytes
	err := m.b.Push(entry(fakePacket{message: message}))

	switch {
	case m.closed:
		require.ErrorIs(rt, err, inbox.ErrClosed)
	case full && len(m.packets) > 0:
		require.ErrorIs(rt, err, inbox.ErrFull)
	default:
		require.NoError(rt, err)

		m.packets = append(m.packets, message)
		m.bytes += len(message)
	}
}

func (m *inboxModel) pop(rt *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	p, err := m.b.Pop(ctx)

	switch {
	case len(m.packets) > 0:
		require.NoError(rt, err)
		require.Equal(rt, m.packets[0], p.GetMessage())

		m.bytes -= len(m.packets[0])
		m.packets = m.packets[1:]
	case m.closed:
		require.Equal(rt, io.EOF, err)
	default:
		require.Equal(rt, context.Canceled, err)
	}
}

func (m *inboxModel) drain(rt *rapid.T) {
	for len(m.packets) > 0 {
		m.pop(rt)
	}
}

func (m *inboxModel) close(rt *rapid.T) {
	// Seldom, or little else would ever happen.
	if rapid.IntRange(0, 9).Draw(rt, "close") == 0 {
		m.b.Close(nil)
		m.closed = true
	}
}

func (m *inboxModel) check(rt *rapid.T) {
	requireDepth(rt, m.b, len(m.packets), m.bytes)
}
