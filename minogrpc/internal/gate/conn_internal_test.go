package gate

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// peer is the other end of a connection of these tests.
type peer struct {
	unproved bool
	// memory is what may be claimed, and claimed what has been.
	memory, claimed int
	// messages is the same for those that have come in part.
	messages atomic.Int64
	refused  chan error
	done     chan struct{}
}

func newPeer(unproved bool) *peer {
	return &peer{unproved: unproved, memory: 1 << 20, refused: make(chan error, 10), done: make(chan struct{})}
}

func (p *peer) Host() string          { return "host" }
func (p *peer) Unproved() bool        { return p.unproved }
func (p *peer) Known() bool           { return !p.unproved }
func (p *peer) Unclaim()              { p.claimed = 0 }
func (p *peer) Refuse(cause error)    { p.refused <- cause }
func (p *peer) Done() <-chan struct{} { return p.done }

func (p *peer) Claim(bytes int) error {
	if p.claimed+bytes > p.memory {
		return status.Error(codes.ResourceExhausted, "no memory")
	}

	p.claimed += bytes

	return nil
}

func (p *peer) ClaimMessages(bytes int) error {
	if int(p.messages.Load())+bytes > p.memory {
		return status.Error(codes.ResourceExhausted, "no memory for messages")
	}

	p.messages.Add(int64(bytes))

	return nil
}

func (p *peer) UnclaimMessages(bytes int) { p.messages.Add(-int64(bytes)) }

// line is a connection that a test writes to.
type line struct {
	*peer

	conn   *Conn
	in     net.Conn
	framer *http2.Framer
	got    chan error
}

// newLine returns a connection that is read all the time.
func newLine(t *testing.T, p *peer, rules Rules) *line {
	t.Helper()

	in, out := net.Pipe()
	l := &line{peer: p, conn: NewConn(out, rules, p), in: in, got: make(chan error, 1)}
	l.framer = http2.NewFramer(in, nil)
	l.framer.AllowIllegalWrites = true

	go func() {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{l.conn})
		l.got <- err
		_ = l.conn.Close()
	}()

	_, err := io.WriteString(in, http2.ClientPreface)
	require.NoError(t, err)

	t.Cleanup(func() {
		close(p.done)
		require.NoError(t, in.Close())
	})

	return l
}

func quick() Rules {
	return Rules{Longest: 1 << 20, StrangerPatience: time.Second, Patience: time.Minute, Work: NewBuckets(1000, 1000)}
}

// headers writes a block of that many fields of one byte each.
func (l *line) headers(fields int, end bool) error {
	return l.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: bytes.Repeat([]byte{0x82}, fields), EndHeaders: end,
	})
}

func (l *line) requireRefused(t *testing.T, text string) {
	t.Helper()

	err := <-l.got
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.ErrorContains(t, err, text)
	require.Equal(t, err, <-l.refused)
}

// Promise S4: a stranger has few headers, and not much time for them.
func TestConn_StrangerHasFewHeaders(t *testing.T) {
	for text, write := range map[string]func(l *line){
		"a stranger has sent too many headers": func(l *line) { _ = l.headers(129, true) },
		// It is refused before the rest of the frame has come.
		"a stranger has sent too many": func(l *line) { _ = l.framer.WriteRawFrame(1, 0, 1, make([]byte, 8<<10)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(t, newPeer(true), quick())
			require.NoError(t, l.headers(128, true))

			go write(l)

			l.requireRefused(t, text)
		})
	}
}

// Promise S4: headers are complete in time, or the connection ends. A block of one frame that has been
// believed may take as long as the line does.
func TestConn_HeadersAreCompleteInTime(t *testing.T) {
	for _, unproved := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLine(t, newPeer(unproved), quick())

			require.NoError(t, l.headers(10, true))
			time.Sleep(time.Hour)
			require.NoError(t, l.headers(10, false))

			patience := time.Minute
			if unproved {
				patience = time.Second
			}

			time.Sleep(patience - 1)
			require.Empty(t, l.refused)
			time.Sleep(2 * time.Nanosecond)
			require.ErrorIs(t, <-l.refused, errSlowHeaders)
		})
	}
}

// Promise M3: headers are charged before they are decoded, and no longer than that.
func TestConn_HeadersAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(false)
		rules := quick()
		rules.Work = nil
		l := newLine(t, p, rules)

		for range 3 {
			require.NoError(t, l.headers(3000, false))
			synctest.Wait()
			require.Greater(t, p.claimed, 3000*perField/2)
			require.NoError(t, l.framer.WriteContinuation(1, true, []byte{0x82}))
			synctest.Wait()
			require.Zero(t, p.claimed, "more is read when it has been decoded")
		}

		go func() { _ = l.headers(12_000, true) }()

		l.requireRefused(t, "no memory")
	})
}

// Promise S3: who sends a lot of headers waits, and does not get through with it for ever.
func TestConn_WorkIsPaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, newPeer(false), quick())
		begun := time.Now()

		require.NoError(t, l.headers(1032, true))
		require.NoError(t, l.headers(1032, true))
		require.NoError(t, l.headers(1, true))
		require.InDelta(t, time.Second, time.Since(begun), float64(10*time.Millisecond))

		// After a while it may again.
		time.Sleep(10 * time.Second)

		for range 10 {
			require.NoError(t, l.headers(1032, true))
			time.Sleep(2 * time.Second)
		}

		require.Empty(t, l.refused)

		go forever(func() error { return l.headers(1032, true) })

		l.requireRefused(t, "too many headers for too long")
	})
}

// Promise S4: many hosts cannot share the work that would be too much for one. One that sends little
// does not wait for them.
func TestConn_WorkOfAllHostsIsBounded(t *testing.T) {
	for heavy, wait := range map[bool]time.Duration{false: 0, true: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			rules := quick()
			rules.AllWork = NewBuckets(1000, 1000)
			rules.AllWork.Spend("", 1900)

			l := newLine(t, newPeer(false), rules)
			fields := 132

			if heavy {
				fields = 632
			}

			begun := time.Now()

			require.NoError(t, l.headers(fields, true))
			require.NoError(t, l.headers(1, true))

			if heavy {
				require.Greater(t, time.Since(begun), wait)
			} else {
				require.Zero(t, time.Since(begun))
			}
		})
	}
}

// forever writes until that fails.
func forever(write func() error) {
	for err := error(nil); err == nil; {
		err = write()
	}
}

// What cannot be but an attack ends at once.
func TestConn_NobodySendsThat(t *testing.T) {
	for text, write := range map[string]func(l *line) error{
		"in too many frames":             func(l *line) error { return l.framer.WriteContinuation(1, false, nil) },
		"longer than the metadata limit": func(l *line) error { return l.headers(16<<10, false) },
	} {
		synctest.Test(t, func(t *testing.T) {
			rules := quick()
			rules.Longest, rules.Work = 10<<10, nil
			l := newLine(t, newPeer(false), rules)

			go forever(func() error { return write(l) })

			l.requireRefused(t, text)
		})
	}
}

// Promise S3: a host whose connections are refused is served more slowly, however often it comes again.
func TestConn_RefusalsCostTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := quick()
		rules.Arrival, rules.Refusal = 100, 600
		begun := time.Now()

		for i := range 5 {
			p := newPeer(true)
			l := newLine(t, p, rules)
			_ = l.headers(129, true)
			require.Error(t, <-l.refused)
			require.Equal(t, i > 1, time.Since(begun) > 0, "connection %d", i)
		}

		require.Greater(t, time.Since(begun), 1500*time.Millisecond)
		require.Less(t, time.Since(begun), 4*time.Second)
	})
}
