package mino_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// sender is a mino.Sender whose outcomes are given.
type sender struct {
	errs   []error
	silent bool
	sent   *int
}

func (s sender) Send(serde.Message, ...mino.Address) <-chan error {
	if s.sent != nil {
		*s.sent++
	}

	errs := make(chan error, len(s.errs))
	for _, err := range s.errs {
		errs <- err
	}

	if !s.silent {
		close(errs)
	}

	return errs
}

// failure is a mino.DeliveryFailure.
type failure struct{ dest mino.Address }

func (f failure) Error() string             { return fmt.Sprint("no route to ", f.dest) }
func (f failure) Undelivered() mino.Address { return f.dest }
func (f failure) InDoubt() bool             { return false }

var errOther = errors.New("somebody was not reached")

// outcomes returns what Outcomes yields, as text.
func outcomes(ctx context.Context, s mino.Sender, to ...mino.Address) []string {
	got := []string{}
	for addr, err := range mino.Outcomes(ctx, s, nil, to...) {
		got = append(got, fmt.Sprintf("%v: %v", addr, err))
	}

	return got
}

// Promise O1: every destination has exactly one outcome, a success too.
func TestOutcomes_OneForEachDestination(t *testing.T) {
	a, b, c := name("a"), name("b"), name("c")
	wrapped := fmt.Errorf("sent in vain: %w", failure{b})

	for what, tt := range map[string]struct {
		errs []error
		to   []mino.Address
		want []string
	}{
		"nobody":          {nil, nil, []string{}},
		"all are reached": {nil, []mino.Address{a, b}, []string{"a: <nil>", "b: <nil>"}},
		"failures come first": {[]error{wrapped, failure{a}}, []mino.Address{a, c, b},
			[]string{"b: sent in vain: no route to b", "a: no route to a", "c: <nil>"}},
		"twice the same":  {[]error{failure{a}}, []mino.Address{a, b, a}, []string{"a: no route to a", "b: <nil>"}},
		"one destination": {[]error{errOther}, []mino.Address{a}, []string{"a: " + errOther.Error()}},
		"a nil address": {[]error{failure{nil}}, []mino.Address{a, nil},
			[]string{"<nil>: no route to <nil>", "a: <nil>"}},
		"errors that do not say about whom": {[]error{errOther, failure{b}}, []mino.Address{a, b, c},
			[]string{"b: no route to b", "a: " + errOther.Error(), "c: " + errOther.Error()}},
		"an error about a stranger": {[]error{failure{c}}, []mino.Address{a, b},
			[]string{"a: no route to c", "b: no route to c"}},
		"two errors about one": {[]error{failure{a}, failure{a}}, []mino.Address{a, b},
			[]string{"a: no route to a", "b: no route to a"}},
	} {
		require.Equal(t, tt.want, outcomes(t.Context(), sender{errs: tt.errs}, tt.to...), what)
	}
}

func TestOutcomes_EndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOther)

	require.Equal(t, []string{
		"a: the outcome is not awaited: " + errOther.Error(),
		"b: the outcome is not awaited: " + errOther.Error(),
	}, outcomes(ctx, sender{silent: true}, name("a"), name("b")))
}

func TestOutcomes_EndByBreak(t *testing.T) {
	for _, s := range []sender{{}, {errs: []error{failure{name("a")}}}} {
		for addr, err := range mino.Outcomes(t.Context(), s, nil, name("a"), name("b")) {
			require.Equal(t, name("a"), addr)
			require.Equal(t, len(s.errs) > 0, err != nil)

			break
		}
	}
}

// Promise M2: messages arrive in the order of the calls, so Outcomes does not send later than it is called.
func TestOutcomes_SendsWhenItIsCalled(t *testing.T) {
	sent := 0
	outcomes := mino.Outcomes(t.Context(), sender{sent: &sent}, nil, name("a"))

	require.Equal(t, 1, sent)
	require.NotNil(t, outcomes)
}
