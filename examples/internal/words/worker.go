package words

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/minogrpc/session/mino"
)

// Worker is the handler that runs on every player.
type Worker struct {
	mino.UnsupportedHandler

	me    string
	count Counter
}

// NewWorker returns the handler for the player at the address.
func NewWorker(me mino.Address, count Counter) (Worker, error) {
	text, err := me.MarshalText()
	if err != nil {
		return Worker{}, fmt.Errorf("address of the player: %w", err)
	}

	return Worker{me: string(text), count: count}, nil
}

// Stream implements mino.Handler: it answers requests until the stream ends.
func (w Worker) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())

		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}

		m, ok := msg.(message)
		if !ok || m.Request == nil {
			continue
		}

		// The channel gives the first error, or nil when the reply has arrived.
		err = <-out.Send(message{Reply: w.answer(m.Request)}, from)
		if err != nil {
			return err
		}
	}
}

// answer counts the share of this player.
func (w Worker) answer(req *request) *Reply {
	re := &Reply{Round: req.Round}

	n := slices.Index(req.Players, w.me)
	if n < 0 {
		return re
	}

	files := share(req.Files, n, len(req.Players))

	words, err := countAll(w.count, os.DirFS(req.Dir), files)
	if err != nil {
		re.Error = err.Error()

		return re
	}

	re.Files, re.Words = len(files), words

	return re
}
