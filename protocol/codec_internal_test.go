package protocol

import (
	"strings"
	"testing"

	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// shape is an interface with two types.
type shape interface{ area() int }

type square struct{ Side int }

func (s square) area() int { return s.Side * s.Side }

type line struct{ Points []int }

func (*line) area() int { return 0 }

type picky struct{ N int }

func (p *picky) UnmarshalJSON([]byte) error { panic("I do not like it") }

func shapes() Codec {
	return Types[shape](nil, map[string]shape{"square": square{}, "line": &line{}})
}

func TestTypes_BringBackTheType(t *testing.T) {
	c := Types[error](shapes(), nil)

	for _, s := range []shape{square{3}, &line{[]int{1, 2}}} {
		data, err := encode(c, s)
		require.NoError(t, err)

		again, err := decode[shape](c, data)
		require.NoError(t, err)
		require.Equal(t, s, again)
	}

	data, err := encode(c, shape(square{3}))
	require.NoError(t, err)
	require.Equal(t, "\x06square"+`{"Side":3}`, string(data))

	// What is not of the interface goes as it is.
	data, err = encode(c, square{3})
	require.NoError(t, err)
	require.Equal(t, `{"Side":3}`, string(data))

	again, err := decode[square](c, data)
	require.NoError(t, err)
	require.Equal(t, square{3}, again)
}

// Promise R3: what another node sends is an error, and never a nil that panics later.
func TestDecode_RefusesWhatItCannotUse(t *testing.T) {
	for data, want := range map[string]string{
		"":           "a message without the name of its type",
		"\x07square": "a message without the name of its type",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": "a message without the name of its type",
		"\x06circle{}": `unknown type "circle"`,
		"\x06square{":  "unexpected end of JSON input",
		"\x04linenull": "the value is nil",
	} {
		_, err := decode[shape](shapes(), []byte(data))
		require.EqualError(t, err, "decode: "+want, "%q", data)
	}

	_, err := decode[*square](JSON{}, []byte("null"))
	require.EqualError(t, err, "decode: the value is nil")
	_, err = decode[any](JSON{}, []byte("null"))
	require.EqualError(t, err, "decode: the value is nil")
	_, err = decode[**square](JSON{}, []byte("null"))
	require.EqualError(t, err, "decode: the value is nil")
	_, err = decode[picky](JSON{}, []byte(`{"N":1}`))
	require.EqualError(t, err, "decode: panic: I do not like it")
	_, err = decode[[]int](JSON{}, []byte("null"))
	require.NoError(t, err)
}

func TestTypes_ChecksWhatItIsGiven(t *testing.T) {
	_, err := encode(shapes(), shape(nil))
	require.Error(t, err)
	_, err = encode(Types(nil, map[string]shape{"square": square{}}), shape(&line{}))
	require.EqualError(t, err, "encode: the type *protocol.line has no name")

	require.Panics(t, func() { Types(nil, map[string]square{}) })
	require.Panics(t, func() { Types(nil, map[string]shape{"": square{}}) })
	require.Panics(t, func() { Types(nil, map[string]shape{strings.Repeat("x", 256): square{}}) })
	require.Panics(t, func() { Types(nil, map[string]shape{"a": square{}, "b": square{}}) })
	require.Panics(t, func() { Types(nil, map[string]shape{"a": nil}) })
}

func TestPlayerError_SaysWhoAndWhy(t *testing.T) {
	require.EqualError(t, &PlayerError{Player: name("b"), Reason: ReasonFinished}, "b: finished without an answer")
	require.Equal(t, "reason 0", Reason(0).String())
	require.Equal(t, "reason 10", (ReasonInDoubt + 1).String())
}

// Promise R3: an envelope is what it was or nothing, and decoding allocates nothing that the data do not hold.
func FuzzEnvelope(f *testing.F) {
	for _, e := range []envelope{
		{kindRequest, 0, nil}, {kindRequest, 1, []byte("{}")}, {kindAnswer, 1 << 60, []byte("\x06square{}")},
		{kindFailure, 300, []byte("no")}, {kindRefusal, 1, []byte(strings.Repeat("ü", maxText))},
	} {
		data, err := e.Serialize(json.NewContext())
		require.NoError(f, err)
		f.Add(data)
	}

	f.Add([]byte{version, byte(kindAnswer), 0})
	f.Add([]byte{version, byte(kindRequest), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(append([]byte{version, byte(kindFailure), 1}, strings.Repeat("\xffx", maxText)...))
	f.Add([]byte{version + 1, byte(kindAnswer), 1})

	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := envelopes{}.Deserialize(json.NewContext(), data)
		require.NoError(t, err)

		e, _ := msg.(envelope)
		if e.kind == 0 {
			require.Equal(t, envelope{}, e)

			return
		}

		require.LessOrEqual(t, e.kind, kindRefusal)
		require.True(t, e.id != 0 || e.kind == kindRequest)
		require.LessOrEqual(t, len(e.payload), len(data)-3)
		require.LessOrEqual(t, len(e.text().Error()), maxText)

		again, err := envelope{e.kind, e.id, e.payload}.Serialize(json.NewContext())
		require.NoError(t, err)

		msg, err = envelopes{}.Deserialize(json.NewContext(), again)
		require.NoError(t, err)
		require.Equal(t, e, msg)

		s, err := decode[shape](shapes(), e.payload)
		require.True(t, err != nil || s.area() >= 0 || s.(square).Side != 0)
	})
}
