package json_test

import (
	stdjson "encoding/json"
	"testing"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

func TestContext_HasTheBytesOfEncodingJSON(t *testing.T) {
	value := map[string][]byte{"<b>": {0xfb, 0xff}, "a": []byte("hello")}

	ctx := json.NewContext()
	require.Equal(t, serde.FormatJSON, ctx.GetFormat())

	want, err := stdjson.Marshal(value)
	require.NoError(t, err)

	data, err := ctx.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, want, data)

	var got map[string][]byte
	require.NoError(t, ctx.Unmarshal(data, &got))
	require.Equal(t, value, got)
}

func TestContext_ErrorsAreReported(t *testing.T) {
	ctx := json.NewContext()

	_, err := ctx.Marshal(make(chan int))
	require.Error(t, err)
	require.Error(t, ctx.Unmarshal([]byte("{} x"), &struct{}{}))
}
