package sessiontest

import (
	"testing"

	"github.com/minogrpc/session/internal/reuse"
)

// CheckMessages fails the test if a message changes the bytes that its Serialize has returned, before the
// outcomes of all its destinations are known. Such a message usually uses its buffer again. The
// documentation of serde.Message says why it must not.
//
// The check ends with the test. It checks all messages that any session of the process sends meanwhile,
// and copies each of them.
func (n *Network) CheckMessages(t testing.TB) {
	t.Helper()

	t.Cleanup(reuse.Watch(func(msg any) {
		t.Errorf("%T: the bytes that Serialize has returned were changed while the message was under way", msg)
	}))
}
