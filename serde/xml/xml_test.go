package xml_test

import (
	stdxml "encoding/xml"
	"testing"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/xml"
	"github.com/stretchr/testify/require"
)

// greeting is a message as a format engine declares it.
type greeting struct {
	To   string `xml:"to,attr"`
	Text string `xml:"text"`
}

func TestContext_HasTheBytesOfEncodingXML(t *testing.T) {
	value := greeting{To: "<b>", Text: "hello & goodbye"}

	ctx := xml.NewContext()
	require.Equal(t, serde.FormatXML, ctx.GetFormat())

	want, err := stdxml.Marshal(value)
	require.NoError(t, err)

	data, err := ctx.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, want, data)

	var got greeting
	require.NoError(t, ctx.Unmarshal(data, &got))
	require.Equal(t, value, got)
}

func TestContext_ErrorsAreReported(t *testing.T) {
	ctx := xml.NewContext()

	_, err := ctx.Marshal(make(chan int))
	require.Error(t, err)
	require.Error(t, ctx.Unmarshal([]byte("<greeting>"), &greeting{}))
}
