package scenario_test

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// errHandler is what a handler fails with.
var errHandler = errors.New("the handler has had enough")

// text is the message of the scenarios.
type text string

func (t text) Serialize(serde.Context) ([]byte, error) {
	return []byte(t), nil
}

// texts is the factory for text.
type texts struct{}

func (texts) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	return text(data), nil
}

// label is the text without what fills it up to its size.
func label(msg serde.Message) string {
	return strings.TrimRight(string(msg.(text)), " ")
}

// handler plays one node. The zero value of does is the one that reads.
type handler struct {
	mino.UnsupportedHandler

	book *book
	over <-chan struct{}
	name string
	life int
	does scenario.Handler
}

func (w *world) handler(n *node) mino.Handler {
	return &handler{book: w.book, over: w.over, name: n.name, life: n.life, does: w.sc.Handlers[n.name]}
}

// Stream implements mino.Handler.
func (h *handler) Stream(out mino.Sender, in mino.Receiver) error {
	defer h.book.handling(h.name, h.life)()

	h.book.begun(h.name, out)

	if h.does == scenario.NeverReads {
		<-h.over

		return nil
	}

	for {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		h.book.receive(h.name, h.life, from, label(msg))

		switch h.does {
		case scenario.Echoes:
			if nameOf(from) == scenario.Orchestrator {
				out.Send(msg, from)
			}
		case scenario.Returns:
			return nil
		case scenario.Fails:
			return errHandler
		case scenario.Reads, scenario.NeverReads:
		}
	}
}

// listen reads what comes to the orchestrator.
func (w *world) listen(in mino.Receiver) {
	for {
		from, msg, err := in.Recv(context.Background())

		var bad *session.MessageError

		switch {
		case err == nil:
			w.book.receive(scenario.Orchestrator, 1, from, label(msg))
		case errors.As(err, &bad):
		case errors.Is(err, io.EOF):
			w.book.finish("")

			return
		default:
			w.book.finish(err.Error())

			return
		}
	}
}
