package serde_test

import (
	"fmt"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
)

// Vote is a message.
type Vote struct {
	Candidate string
	Weight    int
}

// Serialize implements serde.Message, in the format of the context.
func (v Vote) Serialize(ctx serde.Context) ([]byte, error) { return ctx.Marshal(v) }

// Votes is the factory that makes it again of its bytes. They come from the network, so it checks them.
type Votes struct{}

// Deserialize implements serde.Factory.
func (Votes) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	var v Vote

	err := ctx.Unmarshal(data, &v)
	if err != nil {
		return nil, fmt.Errorf("vote: %w", err)
	}

	if v.Weight < 1 {
		return nil, fmt.Errorf("vote: weight %d is not positive", v.Weight)
	}

	return v, nil
}

// A message and its factory are all that a procedure needs.
func Example() {
	ctx := json.NewContext()

	data, err := Vote{Candidate: "alice", Weight: 2}.Serialize(ctx)
	fmt.Println(string(data), err)

	msg, err := Votes{}.Deserialize(ctx, data)
	fmt.Println(msg, err)

	_, err = Votes{}.Deserialize(ctx, []byte(`{"Candidate":"bob"}`))
	fmt.Println(err)

	// Output:
	// {"Candidate":"alice","Weight":2} <nil>
	// {alice 2} <nil>
	// vote: weight 0 is not positive
}
