package session

import (
	"testing"

	"github.com/minogrpc/session/internal/hook/hooktest"
)

// Every function of both observers is called, the first one's first.
func TestObserver_JoinTellsBothOfEverything(t *testing.T) {
	hooktest.Joins(t, Observer.join)
}
