package link

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// book is the owner of a link, and its connection: it notes what is carried and what
// becomes of that. A call for the place "frozen" lasts until its deadline.
type book struct {
	Owner

	delay time.Duration

	mu sync.Mutex
	// carried are the destinations of the calls, and settled the outcomes of each
	// destination by the message and its key.
	carried []string
	settled map[string]error
	twice   bool
}

// line is the connection of the link.
type line struct {
	Conn

	book *book
}

// open returns a link whose connection and owner are the book.
func (b *book) open() *Link {
	b.settled = make(map[string]error)

	return Attach(Config{Owner: b, MaxPackets: 1000, MaxBytes: 1 << 20, Calls: 64, PerLane: 8}, line{book: b})
}

func (c line) Release() {}

func (c line) Carry(ctx context.Context, p *Parcel) (*ptypes.Ack, error) {
	b := c.book

	b.mu.Lock()
	b.carried = append(b.carried, strings.Join(p.Keys, "+"))
	b.mu.Unlock()

	if slices.Contains(p.Keys, "frozen") {
		<-ctx.Done()

		return nil, ctx.Err()
	}

	time.Sleep(b.delay)

	return &ptypes.Ack{}, nil
}

func (b *book) Answered(_ *Link, p *Parcel, _ Answer) { b.settle(p, nil) }
func (b *book) Failed(_ *Link, p *Parcel, err error)  { b.settle(p, err) }

func (b *book) settle(p *Parcel, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	for _, key := range p.Keys {
		id := string(p.Packet.GetMessage()) + key
		_, known := b.settled[id]
		b.twice = b.twice || known
		b.settled[id] = err
	}
}

// outcome returns the outcome of one destination of a message.
func (b *book) outcome(id string) (settled bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	err, settled = b.settled[id]

	return settled, err
}

// calls returns how many calls were for these destinations, and how many there were.
func (b *book) calls(keys string) (of, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()

	for _, k := range b.carried {
		if k == keys {
			of++
		}
	}

	return of, len(b.carried)
}

func (b *book) Lost(l *Link, _ error) { l.Drain() }
func (b *book) Released(*Link)        {}
func (b *book) Sent(*Link, *Parcel)   {}

// broadcast adds a message of one letter to each of the keys.
func broadcast(t *testing.T, l *Link, message byte, keys ...string) {
	t.Helper()

	p := newParcel(1, keys...)
	p.Packet.GetMessage()[0] = message
	p.Deadline = time.Now().Add(30 * time.Second)

	require.NoError(t, l.Add(p))
}

// finish closes the link and waits for its end.
func finish(t *testing.T, l *Link, b *book) {
	t.Helper()

	l.Fail(errors.New("over"))
	synctest.Wait()

	require.False(t, b.twice, "a destination with two outcomes")
}
