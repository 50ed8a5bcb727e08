package link

import (
	"fmt"

	"github.com/minogrpc/session/internal/contain"
)

// The goroutines of a link call its owner, which calls code that is not ours: it prints
// the address of a foreign overlay, or hands an outcome to a user. Nobody else could
// recover from a panic there, and the process would end.

// tell calls the owner. A panic is the loss of the neighbour: the owner learns of it there,
// and ends the session.
func (l *Link) tell(call func()) {
	err := contain.Do(call)
	if err != nil {
		l.Fail(err)
	}
}

// answered tells what the neighbour says about a parcel. If the owner panics over that, the
// outcome is unknown.
func (l *Link) answered(p *Parcel, a Answer) {
	err := contain.Do(func() { l.Owner.Answered(l, p, a) })
	if err != nil {
		l.failed(p, fmt.Errorf("%w: %w", ErrExpired, err))
	}
}

// failed tells that a parcel has failed.
func (l *Link) failed(p *Parcel, err error) {
	l.tell(func() { l.Owner.Failed(l, p, err) })
}

// failAll tells that the link has closed before these parcels had an outcome.
func (l *Link) failAll(parcels []*Parcel) {
	for _, p := range parcels {
		l.failed(p, ErrClosed)
	}
}
