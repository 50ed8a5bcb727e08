package mino

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/minogrpc/session/serde"
)

// DeliveryFailure is implemented by the errors on the channel of [Sender] Send, if the overlay says which
// destination an error is about. [errors.As] finds it. Every session.DeliveryError is one.
type DeliveryFailure interface {
	error

	// Undelivered returns the destination that was not reached, as Send was given it. It is nil for a
	// destination that is no address.
	Undelivered() Address

	// InDoubt tells whether nobody knows the outcome: the message may have been delivered, or may still
	// be. If it returns false, no copy was delivered and none will be.
	InDoubt() bool
}

// Outcomes sends the message at once, as [Sender] Send does, and returns the outcome of every destination: nil
// if the message was delivered. Each destination is yielded once, in the order in which the outcomes become
// known, and is the caller's own value. A destination that is named twice counts once. A Sender tells failures
// as they happen, and successes only when all outcomes are known.
//
// The loop ends after the last outcome, by break, or when the context is done. In the last case the rest of the
// destinations have the cause of the context as their outcome. What was sent is still delivered. One goroutine can
// range over the result once. A caller that does not want the outcomes need not range over it at all.
//
// The message is sent in the context, unless the sender is from [InContext].
//
// If the overlay does not say which destination an error is about (see [DeliveryFailure]), every destination
// without an outcome of its own has all such errors as its outcome.
func Outcomes(ctx context.Context, out Sender, msg serde.Message, to ...Address) iter.Seq2[Address, error] {
	if _, bound := out.(inContext); !bound {
		out = InContext(ctx, out)
	}

	errs := out.Send(msg, to...)

	return func(yield func(Address, error) bool) {
		var (
			open    = newDestinations(to)
			unknown error // What cannot be told from one destination.
		)

		for len(open.left) > 0 {
			select {
			case err, more := <-errs:
				if !more {
					open.rest(unknown, yield)

					return
				}

				addr, ok := open.take(err)
				if !ok {
					unknown = errors.Join(unknown, err)
				} else if !yield(addr, err) {
					return
				}
			case <-ctx.Done():
				open.rest(fmt.Errorf("the outcome is not awaited: %w", context.Cause(ctx)), yield)

				return
			}
		}
	}
}

// destinations are those of a message that have no outcome yet.
type destinations struct {
	order []string
	left  map[string]Address
}

// newDestinations returns the addresses, each once.
func newDestinations(addrs []Address) destinations {
	d := destinations{left: make(map[string]Address, len(addrs))}

	for _, addr := range addrs {
		key := textOf(addr)
		if _, twice := d.left[key]; !twice {
			d.order = append(d.order, key)
			d.left[key] = addr
		}
	}

	return d
}

// take removes the destination that an error is about. It returns false if the error does not say which.
func (d destinations) take(err error) (Address, bool) {
	key := d.order[0]

	if len(d.order) > 1 {
		var failure DeliveryFailure
		if !errors.As(err, &failure) {
			return nil, false
		}

		key = textOf(failure.Undelivered())
	}

	addr, ok := d.left[key]
	delete(d.left, key)

	return addr, ok
}

// rest yields the same outcome for all that are left, in the order of the caller.
func (d destinations) rest(err error, yield func(Address, error) bool) {
	for _, key := range d.order {
		if addr, ok := d.left[key]; ok && !yield(addr, err) {
			return
		}
	}
}

// textOf returns the text of an address, or an empty one if it has none.
func textOf(addr Address) string {
	if addr == nil {
		return ""
	}

	text, err := addr.MarshalText()
	if err != nil {
		return ""
	}

	return string(text)
}
