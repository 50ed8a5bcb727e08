package session

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// errPanic is what the error of a contained panic wraps.
var errPanic = errors.New("panic")

// contained calls a function that is not ours, and returns its panic as an error.
func contained[T any](call func() (T, error)) (result T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()

	return call()
}

// forward calls the table.
func forward(table router.RoutingTable, packet router.Packet) (router.Routes, router.Voids, error) {
	var voids router.Voids

	routes, err := contained(func() (router.Routes, error) {
		routes, v := table.Forward(packet)
		voids = v

		return routes, nil
	})

	return routes, voids, err
}

// keyOf returns the text of an address, which is what the session knows it by. It
// is an error when there is none, or nothing in it that could be reached.
func keyOf(addr mino.Address) (string, error) {
	if addr == nil {
		return "", errors.New("address is nil")
	}

	own, ok := addr.(Address)
	if ok && own.host == "" {
		return "", errors.New("address is empty")
	}

	text, err := contained(addr.MarshalText)
	if err != nil {
		return "", fmt.Errorf("address without a text: %w", err)
	}

	if len(text) == 0 {
		return "", errors.New("address is empty")
	}

	return string(text), nil
}

// isOrchestrator tells whether the address is that of an orchestrator.
func isOrchestrator(addr mino.Address) bool {
	own, ok := addr.(Address)

	return ok && own.isOrchestrator()
}
