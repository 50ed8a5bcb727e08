package host

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The bounds of what a host remembers have no public face: no test waits for ten
// minutes, or opens 100,000 streams.

func numbered(i int) streamKey {
	return streamKey{uri: "test", id: strconv.Itoa(i)}
}

func TestEndedStreams_AreRememberedForATime(t *testing.T) {
	var ended endedStreams

	now := time.Now()
	require.False(t, ended.has(numbered(1), now))

	ended.add(numbered(1), now)
	ended.add(numbered(2), now.Add(time.Second))

	require.True(t, ended.has(numbered(1), now.Add(endedAge)))
	require.False(t, ended.has(streamKey{uri: "other", id: "1"}, now))

	require.False(t, ended.has(numbered(1), now.Add(endedAge+1)))
	require.True(t, ended.has(numbered(2), now.Add(endedAge+1)))
}

func TestEndedStreams_ForgetsTheOldestFirst(t *testing.T) {
	var ended endedStreams

	now := time.Now()
	for i := range endedLimit + 10 {
		ended.add(numbered(i), now)
	}

	require.Len(t, ended.keys, endedLimit)
	require.Len(t, ended.order, endedLimit)
	require.True(t, ended.has(numbered(10+1), now))
	require.False(t, ended.has(numbered(10-1), now))
}
