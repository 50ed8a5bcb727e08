package message

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

func TestCache_KnownAddressCostsNothing(t *testing.T) {
	r := newReader()
	text := []byte("known")

	first, err := r.Parse(text)
	require.NoError(t, err)
	require.Equal(t, Player{Addr: name("known"), Text: "known"}, first)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = r.Parse(text) }))

	// It does not keep the bytes that it was asked with.
	text[0] = 'K'
	again, err := r.Parse([]byte("known"))
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// Promise R3: what strangers send does not fill the memory.
func TestCache_IsBounded(t *testing.T) {
	r := newReader()

	for i := range 2*maxKnown + 1 {
		text := fmt.Append(nil, i)

		p, err := r.Parse(text)
		require.NoError(t, err)
		require.Equal(t, string(text), p.Text)
		require.LessOrEqual(t, len(r.known.byText), maxKnown)
	}

	known := len(r.known.byText)
	long := strings.Repeat("x", maxKnownText+1)

	p, err := r.Parse([]byte(long))
	require.NoError(t, err)
	require.Equal(t, long, p.Text)
	require.Len(t, r.known.byText, known)
}

func TestCache_DoesNotKnowWhatWasRefused(t *testing.T) {
	r := newReader()

	_, err := r.Parse(nil)
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
				p, err := r.Parse(fmt.Append(nil, i))
				if err != nil || p.Text != strconv.Itoa(i) {
					t.Errorf("%d is %v, %v", i, p, err)
				}
			}
		})
	}

	group.Wait()
	require.NotEmpty(t, r.known.byText)
}

// newReader returns a reader for addresses that are nothing but their text.
func newReader() *Reader {
	return NewReader(names{}, MaxAddresses)
}

// name is an address that is nothing but its text.
type name string

func (n name) MarshalText() ([]byte, error)               { return []byte(n), nil }
func (n name) String() string                             { return string(n) }
func (n name) Equal(other mino.Address) bool              { return n == other }
func (n name) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// names makes them.
type names struct{ serde.Factory }

func (names) FromText(text []byte) mino.Address { return name(text) }
