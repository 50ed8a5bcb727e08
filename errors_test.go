package session_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// The text of an error has the words that existing nodes use, and the cause stays reachable.
func TestDeliveryError_TextKeepsTheWordingOfTheWire(t *testing.T) {
	cause := errors.New("why")

	for reason, text := range map[session.Reason]string{
		session.ReasonNoRoute:     "no route to grpc://b:1: why",
		session.ReasonUnreachable: "no route to grpc://b:1: why",
		session.ReasonOverflow:    "grpc://b:1 dropped the packet: why",
		session.ReasonTimeout:     "grpc://b:1 dropped the packet: why",
		session.ReasonRejected:    "grpc://b:1 dropped the packet: why",
		session.ReasonClosed:      "session grpc://b:1 is closing: why",
	} {
		err := &session.DeliveryError{Destination: addr("b"), Reason: reason, Cause: cause}
		require.EqualError(t, err, text)
		require.ErrorIs(t, err, cause)
	}
}
