package session_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// Promise O2: only a timeout leaves it open whether the message is delivered.
func TestDeliveryError_OnlyATimeoutIsInDoubt(t *testing.T) {
	dest := session.NewAddress("grpc://a:1")

	for reason := session.ReasonNoRoute; reason <= session.ReasonRejected; reason++ {
		err := error(&session.DeliveryError{Destination: dest, Reason: reason, Cause: errors.New("why")})

		var failure mino.DeliveryFailure
		require.ErrorAs(t, err, &failure)
		require.Equal(t, dest, failure.Undelivered())
		require.Equal(t, reason == session.ReasonTimeout, failure.InDoubt(), reason)
	}
}
