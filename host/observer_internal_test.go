package host

import (
	"testing"

	"github.com/minogrpc/session/internal/hook/hooktest"
)

// An observer is added: every function of both is called, the first one's first.
func TestObserver_OptionsAddUp(t *testing.T) {
	hooktest.Joins(t, func(first, second Observer) Observer {
		var c config

		WithObserver(first).apply(&c)
		WithObserver(second).apply(&c)

		return c.observer
	})
}
