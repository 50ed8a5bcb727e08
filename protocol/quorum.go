package protocol

import (
	"errors"
	"iter"

	"github.com/minogrpc/session/mino"
)

// Quorum ranges over a gathering until it has k good answers, and returns them as they came. It then ends the
// gathering. An answer is good if verify returns nil for it; a nil verify accepts all. If verify returns an error, the
// player counts as a [ReasonBadAnswer].
//
// As soon as k good answers cannot be reached any more, Quorum ends the gathering and returns a [*QuorumError]
// together with the good answers so far. A k below 1 is an error.
func Quorum[Resp any](
	gathering iter.Seq2[mino.Address, Result[Resp]], k int, verify func(from mino.Address, resp Resp) error,
) ([]Result[Resp], error) {
	if k < 1 {
		return nil, errors.New("a quorum needs at least one answer")
	}

	var (
		good   []Result[Resp]
		failed = &QuorumError{Want: k}
	)

	for from, r := range gathering {
		if r.Err == nil && verify != nil {
			if err := verify(from, r.Value); err != nil {
				r.Err = &PlayerError{from, ReasonBadAnswer, err}
			}
		}

		var why *PlayerError

		switch {
		case r.Err == nil:
			good = append(good, r)
		case errors.As(r.Err, &why):
			failed.Players = append(failed.Players, why)
		default:
			failed.Players = append(failed.Players, &PlayerError{from, ReasonBadAnswer, r.Err})
		}

		if len(good) == k {
			return good, nil
		}

		if len(good)+r.Left < k {
			break
		}
	}

	failed.Got = len(good)

	return good, failed
}
