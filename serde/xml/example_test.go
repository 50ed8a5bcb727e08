package xml_test

import (
	"fmt"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
	"github.com/minogrpc/session/serde/xml"
)

// vote is a message. The engines of its formats are in a registry.
type vote struct{ choice string }

var voteFormats = registry.NewSimpleRegistry()

func (v vote) Serialize(ctx serde.Context) ([]byte, error) {
	return voteFormats.Get(ctx.GetFormat()).Encode(ctx, v)
}

// voteFormat is the form of a vote in any format whose context can marshal a struct.
type voteFormat struct{}

// Vote is what travels.
type Vote struct {
	Choice string `xml:"choice,attr"`
}

func (voteFormat) Encode(ctx serde.Context, message serde.Message) ([]byte, error) {
	v, ok := message.(vote)
	if !ok {
		return nil, fmt.Errorf("%T is no vote", message)
	}

	return ctx.Marshal(Vote{Choice: v.choice})
}

func (voteFormat) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	var v Vote

	err := ctx.Unmarshal(data, &v)
	if err != nil {
		return nil, err
	}

	return vote{choice: v.Choice}, nil
}

// A message is XML where the context says so, and its code does not change.
func Example() {
	voteFormats.Register(serde.FormatXML, voteFormat{})

	ctx := xml.NewContext()

	data, err := vote{choice: "yes"}.Serialize(ctx)
	fmt.Println(string(data), err)

	back, err := voteFormats.Get(serde.FormatXML).Decode(ctx, data)
	fmt.Println(back, err)
	// Output:
	// <Vote choice="yes"></Vote> <nil>
	// {yes} <nil>
}
