// Package mino is the vocabulary of a minimalist network overlay: addresses,
// players, and the two kinds of remote procedure calls between them.
//
// A [Mino] is one node. A protocol registers a [Handler] with
// [Mino.CreateRPC] under the same name on every node and gets an [RPC], with
// which it either asks every player one question ([RPC.Call]) or opens a stream
// to all of them ([RPC.Stream]). The node that opens a stream is its
// orchestrator. Each player's handler, and the orchestrator itself, then see the
// stream as a [Sender] and a [Receiver].
//
// What one player sends to another arrives in the order of the Send calls, awaited or
// not, as long as only nodes of this library are on the way; else only what is awaited
// does. Every destination of every Send has exactly one outcome; see [Sender].
package mino

import (
	"context"
	"encoding"

	"github.com/minogrpc/session/serde"
)

// AddressConnectionType says how to connect to an address.
type AddressConnectionType int32

const (
	// ACTgRPC is gRPC without TLS.
	ACTgRPC AddressConnectionType = iota
	// ACTgRPCS is gRPC with TLS and a certificate that the nodes exchange.
	ACTgRPCS
	// ACThttps is gRPC with TLS and a publicly signed certificate.
	ACThttps
	// ACTws is WebSocket.
	ACTws
)

// Address is where a player can be found. Implementations should be comparable,
// so that they can be the keys of a map.
type Address interface {
	encoding.TextMarshaler

	// Equal tells whether both are the address of the same player.
	Equal(other Address) bool

	// String returns a form for people to read.
	String() string

	// ConnectionType says how to connect to the address.
	ConnectionType() AddressConnectionType
}

// AddressFactory makes addresses out of their text form.
type AddressFactory interface {
	serde.Factory

	// FromText returns the address that MarshalText gave the text of. It never
	// returns nil; what cannot be understood gives an address that equals none
	// that can be dialled.
	FromText(text []byte) Address
}

// Request is what the handler of a call gets.
type Request struct {
	// Address is the caller.
	Address Address
	// Message is the question.
	Message serde.Message
}

// Response is the answer of one player to a call.
type Response interface {
	// GetFrom returns the player that the answer is from.
	GetFrom() Address

	// GetMessageOrError returns the answer, or why there is none.
	GetMessageOrError() (serde.Message, error)
}

// Sender sends to the players of a stream. It may be used from several
// goroutines at once.
type Sender interface {
	// Send sends the message to the addresses and returns before it has arrived
	// anywhere. The message is serialized before it returns, and the slice is not
	// kept. For each destination that is not reached there is one error on the
	// channel, which is closed when the outcome of all is known. Nobody has to
	// read it. Without addresses there are no outcomes: the channel is closed at once, and
	// the message is not serialized.
	//
	// Send never waits, also not for a slow player. Past a bound on the way the outcome is an
	// error, and the message is gone. A protocol that sends a lot keeps a window: it waits for
	// outcomes before it sends more.
	Send(msg serde.Message, addrs ...Address) <-chan error
}

// Receiver receives from the players of a stream. It may be used from several
// goroutines at once; each message goes to one of them.
type Receiver interface {
	// Recv waits for the next message and returns it with its sender. The address equals
	// that of the player, and is of another type: as the key of a map use session.KeyOf of
	// both. Recv returns the error of the context when that is done first, io.EOF when the
	// stream has ended, or the cause of an unclean end.
	//
	// THE SENDER IS AS TRUE AS THE PLAYERS ON THE WAY OF THE MESSAGE ARE: it is what they have
	// passed on. A protocol that must not trust them signs its messages.
	Recv(ctx context.Context) (Address, serde.Message, error)
}

// Handler is the part of a protocol that runs on every player.
type Handler interface {
	// Process answers a call. A nil response without an error is an empty answer, which
	// the factory of the caller decodes like any other.
	Process(req Request) (resp serde.Message, err error)

	// Stream takes part in a stream. Its end, with or without an error, is not the
	// end of the node's part in it: the node goes on relaying for the others.
	Stream(out Sender, in Receiver) error
}

// RPC is a procedure that can be called on the players that registered a handler
// of the same name. It may be used from several goroutines at once.
type RPC interface {
	// Call sends the request to every player and returns their responses, one
	// each, as they come. The channel is closed after the last and never blocks
	// the players when nobody reads it.
	Call(ctx context.Context, req serde.Message, players Players) (<-chan Response, error)

	// Stream opens a stream to the players. The first of them is the root of it: the
	// others are reached through it, and the stream ends with it. This node may be
	// one of them or not. The stream lasts until the context is done. Nothing tells
	// that a player will never answer: the caller bounds how long it waits in Recv.
	Stream(ctx context.Context, players Players) (Sender, Receiver, error)
}

// Mino is one node of the overlay.
type Mino interface {
	// GetAddressFactory returns the factory for the addresses of the overlay.
	GetAddressFactory() AddressFactory

	// GetAddress returns the address of this node.
	GetAddress() Address

	// WithSegment returns the same node with a further segment in the path of
	// the procedures that it creates, so that a name may be used more than once.
	WithSegment(segment string) Mino

	// CreateRPC registers the handler under the name, in the segment, and returns
	// the procedure to call it elsewhere. The factory makes the messages of both
	// directions. It returns an error when the name is not valid or is taken.
	CreateRPC(name string, h Handler, f serde.Factory) (RPC, error)
}

// MustCreateRPC is CreateRPC for names that are known to be good. It panics on an
// error.
func MustCreateRPC(m Mino, name string, h Handler, f serde.Factory) RPC {
	rpc, err := m.CreateRPC(name, h, f)
	if err != nil {
		panic(err)
	}

	return rpc
}
