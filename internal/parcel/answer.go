package parcel

import (
	"time"

	"github.com/minogrpc/session/ptypes"
)

// Answer is what a neighbour says about the destinations of a parcel. Nothing in it
// has been checked.
type Answer struct {
	// Failures are about destinations that were not reached, and Texts the same from a
	// node that does not know of those.
	Failures []*ptypes.Failure
	Texts    []string

	// Reached are the places in Keys of destinations that were reached.
	Reached []uint32

	// Last is set when there will be no other answer: whatever no answer is about was
	// reached.
	Last bool
}

// AnswerOf returns the answer in an Ack, which is the only one.
func AnswerOf(ack *ptypes.Ack) Answer {
	return Answer{Failures: ack.GetFailures(), Texts: ack.GetErrors(), Last: true}
}

// maxBudget is the longest time that a packet may ask for.
const maxBudget = 24 * time.Hour

// BudgetFor returns the budget of the next node in milliseconds. It is shorter than
// what is left here, so that the node nearest to a trouble reports it.
func BudgetFor(left time.Duration) uint32 {
	left -= max(50*time.Millisecond, left/10)

	return uint32(min(max(left.Milliseconds(), 1), maxBudget.Milliseconds()))
}
