package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// message is what the nodes exchange: a request on the way down, a reply on the way
// up. One type stands for both, because a procedure has one factory.
type message struct {
	Request *request `json:",omitempty"`
	Reply   *reply   `json:",omitempty"`
}

// request asks each of the players for its share of the files.
type request struct {
	// Round tells the requests of a stream apart.
	Round int

	Dir   string
	Files []string

	// Players are the addresses in their text form. The n-th of them counts every
	// file whose index modulo their number is n.
	Players []string
}

// reply is what a player has counted.
type reply struct {
	Round int
	Files int
	Words int

	// Error is why the player could not count, if it could not.
	Error string `json:",omitempty"`
}

// Serialize implements serde.Message.
func (m message) Serialize(ctx serde.Context) ([]byte, error) {
	return ctx.Marshal(m)
}

// messages is the factory for message.
type messages struct{}

// Deserialize implements serde.Factory.
func (messages) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	var m message

	err := ctx.Unmarshal(data, &m)
	if err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}

	return m, nil
}

// worker is the handler that runs on every player.
type worker struct {
	mino.UnsupportedHandler

	// me is the text form of the address of the player.
	me string

	words counter
}

// Stream implements mino.Handler: it answers requests until the stream ends.
func (w worker) Stream(out mino.Sender, in mino.Receiver) error {
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
func (w worker) answer(req *request) *reply {
	re := &reply{Round: req.Round}

	n := slices.Index(req.Players, w.me)
	if n < 0 {
		return re
	}

	files := share(req.Files, n, len(req.Players))

	words, err := countAll(w.words, os.DirFS(req.Dir), files)
	if err != nil {
		re.Error = err.Error()

		return re
	}

	re.Files, re.Words = len(files), words

	return re
}
