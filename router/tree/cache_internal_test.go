package tree

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCache_KnownAddressCostsNothing(t *testing.T) {
	r := newReader()
	text := []byte("known")

	first, err := r.parse(text)
	require.NoError(t, err)
	require.Equal(t, player{addr: name("known"), text: "known"}, first)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.parse(text) }))

	// It does not keep the bytes that it was asked with.
	text[0] = 'K'
	again, err := r.parse([]byte("known"))
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// Promise R3: what strangers send does not fill the memory.
func TestCache_IsBounded(t *testing.T) {
	r := newReader()

	for i := range 2*maxKnown + 1 {
		text := fmt.Append(nil, i)

		p, err := r.parse(text)
		require.NoError(t, err)
		require.Equal(t, string(text), p.text)
		require.LessOrEqual(t, len(r.known.byText), maxKnown)
	}

	known := len(r.known.byText)
	long := strings.Repeat("x", maxKnownText+1)

	p, err := r.parse([]byte(long))
	require.NoError(t, err)
	require.Equal(t, long, p.text)
	require.Len(t, r.known.byText, known)
}

func TestCache_DoesNotKnowWhatWasRefused(t *testing.T) {
	r := newReader()

	_, err := r.parse(nil)
	require.Error(t, err)
	require.Empty(t, r.known.byText)
}

// The race detector has the say.
func TestCache_IsSharedByGoroutines(t *testing.T) {
	r := newReader()

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range maxKnown + 100 {
				p, err := r.parse(fmt.Append(nil, i))
				if err != nil || p.text != strconv.Itoa(i) {
					t.Errorf("%d is %v, %v", i, p, err)
				}
			}
		})
	}

	group.Wait()
	require.NotEmpty(t, r.known.byText)
}
