package session

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
)

// fault ends the session when the error is a contained panic: whatever has failed
// so badly is in a state that nobody knows. It may be called under the lock.
func (s *session) fault(err error) {
	failure, ok := errors.AsType[*contain.PanicError](err)
	if !ok {
		return
	}

	s.logger.Error().Err(err).Bytes("stack", failure.Stack).Msg("panic contained, the session ends")

	go s.Leave(err)
}

// step runs a part of the way of a packet under the lock, in which the routing table
// and the packet are called. After a panic whatever it has left open is settled.
func (s *session) step(set *pending.Set, keys []string, dests []mino.Address, after *effects, run func()) {
	err := contain.Do(run)
	if err != nil {
		s.fault(err)
		after.fail(set, keys, dests, s.failure(ReasonRejected, err))
	}
}

// keyOf returns the text of an address, which is what the session knows it by. It
// is an error when there is none, or nothing in it that could be reached.
func keyOf(addr mino.Address) (string, error) {
	if addr == nil {
		return "", errors.New("address is nil")
	}

	// All that a session does goes by these texts: our own must cost nothing.
	own, ok := unwrapAddress(addr).(Address)

	switch {
	case ok && own.host() == "":
		return "", errors.New("address is empty")
	case ok:
		return own.key(), nil
	}

	text, err := contain.Call(addr.MarshalText)
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
