package json_test

import (
	"testing"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

func TestContext_HasTheBytesOfEncodingJSON(t *testing.T) {
	type value struct {
		Text  string
		Bytes []byte
	}

	ctx := json.NewContext()
	require.Equal(t, serde.FormatJSON, ctx.GetFormat())

	data, err := ctx.Marshal(value{Text: "<a>", Bytes: []byte("hello")})
	require.NoError(t, err)
	require.Equal(t, `{"Text":"\u003ca\u003e","Bytes":"aGVsbG8="}`, string(data))

	var got value
	require.NoError(t, ctx.Unmarshal(data, &got))
	require.Equal(t, value{Text: "<a>", Bytes: []byte("hello")}, got)
}

func TestContext_ErrorsAreReported(t *testing.T) {
	ctx := json.NewContext()

	_, err := ctx.Marshal(make(chan int))
	require.Error(t, err)
	require.Error(t, ctx.Unmarshal([]byte("{} x"), &struct{}{}))
}
