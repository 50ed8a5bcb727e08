package link

import "context"

// Turns bound how many links set a stream up at once. Some of the places are kept free for links
// that go on after a break: a first set-up may hold its place for as long as a neighbour does not
// answer, and a broken link has only little time.
type Turns struct {
	// all has room for everybody, and first for those that set their first stream up.
	all, first chan struct{}
}

// spare is the part of the places that first set-ups leave free.
const spare = 8

// NewTurns returns that many places, one at least. Of more than one, an eighth is only for links
// that go on, one place at least.
func NewTurns(n int) *Turns {
	n = max(n, 1)
	kept := min((n+spare-1)/spare, n-1)

	return &Turns{all: make(chan struct{}, n), first: make(chan struct{}, n-kept)}
}

// turn is what a link waits for, and then holds, to set a stream up.
type turn struct {
	held []chan struct{}
	// waited is set when there was no place at once.
	waited bool
}

// takeTurn waits for a place in all the limits of the link, or for the end of the context. Whoever
// gets it calls leave. Everybody takes the places in the same order, so that nobody waits for
// somebody who waits for them.
func (l *Link) takeTurn(ctx context.Context, first bool) (*turn, error) {
	return takeTurn(ctx, l.Dials, first)
}

// Wait waits for a place for a set-up that is not that of a link. Whoever gets it calls leave, once.
// Otherwise the error is the cause of the context.
func (t *Turns) Wait(ctx context.Context) (leave func(), err error) {
	own, err := takeTurn(ctx, []*Turns{t}, true)
	if err != nil {
		return nil, err
	}

	return own.leave, nil
}

func takeTurn(ctx context.Context, limits []*Turns, first bool) (*turn, error) {
	t := &turn{}

	for _, limit := range limits {
		if first && !t.take(ctx, limit.first) || !t.take(ctx, limit.all) {
			t.leave()

			return nil, context.Cause(ctx)
		}
	}

	return t, nil
}

func (t *turn) take(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
	default:
		t.waited = true

		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}

	t.held = append(t.held, places)

	return true
}

func (t *turn) leave() {
	for _, places := range t.held {
		<-places
	}
}
