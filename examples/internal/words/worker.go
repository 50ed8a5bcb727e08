package words

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// Worker is the handler that runs on every player.
type Worker struct {
	mino.UnsupportedHandler

	me    string
	count Counter

	// served is the folder that requests are held to. None stands for all.
	served string
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
		case isUnreadable(err):
			continue
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

// isUnreadable tells whether an error of Recv is about one message, which somebody has got wrong. The stream
// goes on after it.
func isUnreadable(err error) bool {
	_, ok := errors.AsType[*session.MessageError](err)

	return ok
}

// answer counts the share of this player.
func (w Worker) answer(req *request) *Reply {
	re := &Reply{Round: req.Round}

	n := slices.Index(req.Players, w.me)
	if n < 0 {
		return re
	}

	files := share(req.Files, n, len(req.Players))

	words, err := w.countIn(req.Dir, files)
	if err != nil {
		re.Error = err.Error()

		return re
	}

	re.Files, re.Words = len(files), words

	return re
}

// countIn counts the files of a folder.
func (w Worker) countIn(dir string, files []string) (int, error) {
	folder, closer, err := w.open(dir)
	if err != nil {
		return 0, err
	}

	defer func() { _ = closer.Close() }() // nothing was written

	return countAll(w.count, folder, files)
}
