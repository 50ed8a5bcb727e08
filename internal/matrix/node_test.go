package matrix_test

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// uri is the procedure of these tests.
const uri = "matrix"

// text is an address in the form of the wire, which is the same for both kinds of nodes.
type text string

// follower returns the address of the player at the same host.
func (t text) follower() text { return "F" + t[1:] }

// orchestrator returns the address of the orchestrator at the same host.
func (t text) orchestrator() text { return "O" + t[1:] }

// failure is what a sender is told of a destination.
type failure struct {
	// about is the text form of the destination. An existing node tells words only, from
	// which it is guessed.
	about text
	words string
}

// stream is one node's part in a stream, of either kind.
type stream interface {
	// send returns when all are settled, with what has failed.
	send(msg string, to ...text) []failure

	// recv returns the next message, or io.EOF.
	recv(ctx context.Context) (from text, msg string, err error)
}

// node is a node of either kind.
type node interface {
	kind() kind
	address() text

	open(ctx context.Context, players []text) (stream, error)
	call(ctx context.Context, question string, to text) (string, error)

	// packets counts those that the node has sent or received.
	packets() int

	// kill breaks all the connections of the node and ends it. stop may follow.
	kill()
	stop()
}

// message is the message of these tests.
type message string

func (m message) Serialize(serde.Context) ([]byte, error) { return []byte(m), nil }

type messages struct{}

func (messages) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	return message(data), nil
}

// textOf returns the text form of an address.
func textOf(addr mino.Address) text {
	data, err := addr.MarshalText()
	if err != nil {
		panic(err) // it never fails
	}

	return text(data)
}

// serve plays a node's part in a stream: it tells the book what comes, and answers what
// asks for an echo.
func (b *book) serve(name text, s stream) error {
	p := b.enter(name, s)
	defer b.leave(p)

	for {
		from, msg, err := s.recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		b.receive(p, from, msg)

		if isEcho(msg) {
			s.send(msg, from)
		}
	}
}

// without returns the addresses without one.
func without(all []text, one text) []text {
	return slices.DeleteFunc(slices.Clone(all), func(t text) bool { return t == one })
}
