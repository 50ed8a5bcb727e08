package tree

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is written by hand is what encoding/json writes.
func TestPacketJSON_IsWrittenAsByTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) base64Text {
			return append(base64Text{}, rapid.SliceOf(rapid.Byte()).Draw(t, label)...)
		}

		m := packetJSON{Source: text("source"), Dest: []base64Text{}, Message: text("message")}
		for range rapid.IntRange(0, 5).Draw(t, "destinations") {
			m.Dest = append(m.Dest, text("destination"))
		}

		want, err := json.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, string(want), string(m.append()))
	})
}
