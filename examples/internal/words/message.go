package words

import (
	"fmt"

	"github.com/minogrpc/session/serde"
)

// message is what the players exchange: a request on the way down, a reply on the way
// up. One type stands for both, because a procedure has one factory.
type message struct {
	Request *request `json:",omitempty"`
	Reply   *Reply   `json:",omitempty"`
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

// Reply is what a player has counted.
type Reply struct {
	// Round is that of the request.
	Round int

	// Files is the number of files in the share of the player, and Words that of
	// the words in them.
	Files int
	Words int

	// Error is why the player could not count, if it could not.
	Error string `json:",omitempty"`
}

// Serialize implements serde.Message.
func (m message) Serialize(ctx serde.Context) ([]byte, error) {
	return ctx.Marshal(m)
}

// Messages is the factory for what the players and the orchestrator exchange.
type Messages struct{}

// Deserialize implements serde.Factory.
func (Messages) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	var m message

	err := ctx.Unmarshal(data, &m)
	if err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}

	return m, nil
}
