package gate

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// announced returns the beginning of a message of a size, with as many bytes of it.
func announced(size, there int) []byte {
	prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(size))

	return append(prefix, make([]byte, there)...)
}

// open begins a call.
func (l *line) open(id uint32) {
	_ = l.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82}, EndHeaders: true})
}

// data sends bytes in a call, in frames.
func (l *line) data(id uint32, data []byte) {
	for len(data) > 0 {
		n := min(len(data), 16<<10)
		_ = l.framer.WriteData(id, false, data[:n])
		data = data[n:]
	}
}

// charged waits until all that was sent has been read, and returns what is charged for messages.
func (l *line) charged() int {
	synctest.Wait()

	return int(l.messages.Load())
}

// inLine runs a test with a connection of a member.
func inLine(t *testing.T, test func(t *testing.T, l *line)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		rules := quick()
		rules.MessagePatience = 10 * time.Second

		l := newLine(t, newPeer(false), rules)

		// What the server writes somebody reads.
		go func() { _, _ = io.Copy(io.Discard, l.in) }()

		test(t, l)
	})
}

// Promise M3: the part of a message that has come is charged, and not the size that is announced. It
// is given back when the message is complete, and when its call ends, whoever ends it.
func TestMessages_WhatIsThereIsCharged(t *testing.T) {
	const part, most = 512 << 10, 512<<10 + messageBlock + 33*perPiece

	for name, end := range map[string]func(l *line){
		"complete": func(l *line) { l.data(1, make([]byte, 100<<10)) },
		"reset":    func(l *line) { _ = l.framer.WriteRSTStream(1, http2.ErrCodeCancel) },
		"over":     func(l *line) { _ = l.framer.WriteData(1, true, nil) },
		"trailers": func(l *line) {
			_ = l.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true})
		},
		"refused": func(l *line) {
			_ = http2.NewFramer(l.conn, nil).WriteHeaders(http2.HeadersFrameParam{
				StreamID: 1, EndHeaders: true, EndStream: true,
			})
		},
		"reset by the server": func(l *line) {
			_ = http2.NewFramer(l.conn, nil).WriteRSTStream(1, http2.ErrCodeCancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLine(t, func(t *testing.T, l *line) {
				l.open(1)
				l.data(1, announced(part+100<<10, freeMessages-perPiece*4-messagePrefix))
				require.Zero(t, l.charged(), "a little is free")

				l.data(1, make([]byte, part-freeMessages))
				require.GreaterOrEqual(t, l.charged(), part-freeMessages)
				require.LessOrEqual(t, l.charged(), most)

				end(l)
				l.data(1, make([]byte, 1024))
				require.Less(t, l.charged(), messageBlock)
			})
		})
	}
}

// Promise M3: a connection is closed when there is no memory for what has come.
func TestMessages_AreRefusedWithoutMemory(t *testing.T) {
	inLine(t, func(t *testing.T, l *line) {
		for id := uint32(1); id < 9; id += 2 {
			l.open(id)
			l.data(id, announced(64<<20, 300<<10))
		}

		l.requireRefused(t, "no memory for messages")
	})
}

// Promise M3: gRPC reads one message of a call to which it has not answered. What comes after that is
// charged, complete or not.
func TestMessages_UnreadOnesAreCharged(t *testing.T) {
	inLine(t, func(t *testing.T, l *line) {
		l.open(1)

		for range 500 {
			l.data(1, announced(1000, 1000))
		}

		require.Greater(t, l.charged(), 256<<10)

		_ = http2.NewFramer(l.conn, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true})
		l.data(1, announced(1000, 1000))
		require.Less(t, l.charged(), messageBlock)

		for range 500 {
			l.data(1, announced(1000, 1000))
		}

		require.Less(t, l.charged(), messageBlock, "the server reads on")
	})
}

// Promise S3: a message that makes no progress for the time of a silence is dropped, whatever else the
// peer sends.
func TestMessages_StalledOnesEndTheConnection(t *testing.T) {
	for name, between := range map[string]func(l *line){
		"nothing":        func(*line) {},
		"pings":          func(l *line) { _ = l.framer.WritePing(false, [8]byte{}) },
		"other messages": func(l *line) { l.data(3, announced(100<<10, 100<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			inLine(t, func(t *testing.T, l *line) {
				l.open(1)
				l.open(3)
				l.charged()
				_ = http2.NewFramer(l.conn, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true})
				l.data(1, announced(64<<20, 200<<10))

				for begun := time.Now(); len(l.refused) == 0; {
					require.Less(t, time.Since(begun), 14*time.Second)
					between(l)
					time.Sleep(time.Second)
				}

				require.ErrorIs(t, <-l.refused, errStalled)
			})
		})
	}
}

// Promise L1: a slow message is not one that stalls, nor is one that waits behind others on a slow
// connection.
func TestMessages_SlowOnesGoOn(t *testing.T) {
	inLine(t, func(t *testing.T, l *line) {
		const calls = 20

		for i := range uint32(calls) {
			l.open(2*i + 1)
			l.data(2*i+1, announced(64<<20, 20<<10))
		}

		// Each has its turn every 20 seconds.
		for i := range uint32(5 * calls) {
			time.Sleep(time.Second)
			l.data(2*(i%calls)+1, make([]byte, 1<<10))
		}

		require.Empty(t, l.refused)
	})
}

// Promise M3: the account holds what has come of the messages that are not complete, however they are
// cut, and nothing when they are.
func TestMessages_AccountIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire bytes.Buffer

		framer := http2.NewFramer(&wire, nil)
		expected := 0

		m := newMessages(0)
		f := newFrames(m)
		f.preface = 0

		calls := rapid.IntRange(1, 4).Draw(t, "calls")
		streams := make([][]byte, calls)

		for i := range streams {
			require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: uint32(2*i + 1), BlockFragment: []byte{0x82}, EndHeaders: true,
			}))

			if rapid.Bool().Draw(t, "whole") {
				size := rapid.IntRange(0, 3000).Draw(t, "size")
				streams[i] = announced(size, size)
			}

			if rapid.Bool().Draw(t, "part") {
				size := rapid.IntRange(1, 3000).Draw(t, "size")
				part := announced(size, size)[:rapid.IntRange(1, size+messagePrefix-1).Draw(t, "there")]
				expected += len(part)
				streams[i] = append(streams[i], part...)
			}
		}

		frames := deal(t, framer, streams)

		for _, piece := range cutBytes(t, wire.Bytes()) {
			require.NoError(t, f.read(piece, func(Block) error { return nil }))
		}

		require.GreaterOrEqual(t, m.held, expected)
		require.LessOrEqual(t, m.held, expected+frames*perPiece)

		for i := range calls {
			m.end(uint32(2*i + 1))
		}

		require.Zero(t, m.held)
		require.Zero(t, m.open)
		require.Empty(t, m.calls)
	})
}

// deal writes the bytes of the calls in pieces, in any order, and returns the number of frames.
func deal(t *rapid.T, framer *http2.Framer, streams [][]byte) int {
	left, frames := 0, 0
	for _, s := range streams {
		left += len(s)
	}

	for left > 0 {
		i := rapid.IntRange(0, len(streams)-1).Draw(t, "call")

		n := min(len(streams[i]), rapid.IntRange(1, 2000).Draw(t, "piece"))
		if n == 0 {
			continue
		}

		padding := make([]byte, rapid.IntRange(0, 9).Draw(t, "padding"))
		require.NoError(t, framer.WriteDataPadded(uint32(2*i+1), false, streams[i][:n], padding))
		streams[i] = streams[i][n:]
		left -= n
		frames++
	}

	return frames
}

// cutBytes cuts bytes as a connection may.
func cutBytes(t *rapid.T, data []byte) [][]byte {
	var pieces [][]byte

	for len(data) > 0 {
		n := rapid.IntRange(1, len(data)).Draw(t, "read")
		pieces = append(pieces, data[:n])
		data = data[n:]
	}

	return pieces
}
