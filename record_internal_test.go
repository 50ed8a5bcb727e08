package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise M3: what a session remembers of its failures is small, whatever addresses another node sends to.
func TestRecord_KeepsNoLongAddress(t *testing.T) {
	var r record

	long := NewAddress(strings.Repeat("a", 1<<20))
	key, err := keyOf(long)
	require.NoError(t, err)

	r.fail(key, nil, &DeliveryError{Destination: long, Reason: ReasonNoRoute, Cause: fmt.Errorf("to %v", long)})

	kept := r.recent()[0].err
	require.Less(t, len(kept.Error()), 4*maxText)
	require.Equal(t, ReasonNoRoute, kept.Reason)

	short := &DeliveryError{Destination: NewAddress("a:1"), Reason: ReasonNoRoute, Cause: errors.New("no")}
	r.fail("FAa:1", nil, short)
	require.Same(t, short, r.recent()[0].err)
}
