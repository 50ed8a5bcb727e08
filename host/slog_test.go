package host_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// lines is a slog handler that keeps the messages, with their attributes. It panics if it is told to.
type lines struct {
	slog.Handler

	panics bool

	mu   sync.Mutex
	kept map[string]map[string]string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

func (l *lines) Handle(_ context.Context, record slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	attrs := make(map[string]string)

	record.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()

		return true
	})

	l.kept[record.Message] = attrs

	if l.panics {
		panic("at the disco")
	}

	return nil
}

// Promise S1: a host and its sessions log to a slog logger, and go on if that panics.
func TestWithSlog_TakesTheLog(t *testing.T) {
	for name, panics := range map[string]bool{"a good handler": false, "a handler that panics": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				log := &lines{kept: make(map[string]map[string]string), panics: panics}
				failing := handler{stream: func(_ mino.Sender, in mino.Receiver) error {
					_, _, _ = in.Recv(context.Background())

					return errors.New("it fails")
				}}
				o := w.start("o:1", echo)
				root := w.start("root:1", echo, host.WithSlog(slog.New(log)), host.WithSlog(nil),
					host.WithSessionOptions(session.WithSlog(slog.New(log)), session.WithSlog(nil)))
				leaf := w.start("leaf:1", failing, host.WithSlog(slog.New(log)))

				out, in, err := o.test.Stream(w.Context(), players(root, leaf))
				require.NoError(w, err)

				for err := range out.Send(text("hello"), leaf.me) {
					require.NoError(w, err)
				}

				w.requireEcho(out, in, root)
				synctest.Wait()

				log.mu.Lock()
				defer log.mu.Unlock()

				require.Equal(w, "it fails", log.kept["handler failed"]["error"])
				require.Equal(w, "test", log.kept["handler failed"]["rpc"])
				require.NotEmpty(w, log.kept["handler failed"]["stream"])
				require.Equal(w, "grpc://leaf:1", log.kept["relay opened"]["peer"])
			})
		})
	}
}
