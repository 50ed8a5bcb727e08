package trust

import (
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// Promise S5: hearsay is dialled once, and again only after pauses that grow, until it is proved.
func TestHearsay_IsDialledSeldom(t *testing.T) {
	var h hearsay

	addr := session.NewAddress("host:1")
	start := time.Now()
	require.NoError(t, h.dial(addr, start))

	h.add(addr)

	dials := 0

	for at := start; at.Before(start.Add(time.Hour)); at = at.Add(time.Second) {
		if h.dial(addr, at) == nil {
			dials++
		}
	}

	require.Less(t, dials, 25)
	require.Greater(t, dials, 10)

	h.proved(addr)
	require.NoError(t, h.dial(addr, start))
	require.NoError(t, h.dial(addr, start))
}
