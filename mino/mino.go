// Package mino is the vocabulary of a minimalist network overlay: addresses, players, and the two
// kinds of remote procedure calls between them.
//
// A [Mino] is one node. A protocol registers a [Handler] with [Mino.CreateRPC] under the same name
// on every node, and gets an [RPC]. With it a node either asks every player one question
// ([RPC.Call]) or opens a stream to all of them ([RPC.Stream]). A player is a node that takes part
// in a call or a stream. The node that opens a stream is its orchestrator. Each player's handler,
// and the orchestrator itself, then see the stream as a [Sender] and a [Receiver].
//
// Messages from one player to another arrive in the order of the Send calls, awaited or not, as
// long as only nodes of this library are on the way. If other nodes are on the way, messages arrive
// in order only if the sender awaits the outcome of each before it sends the next. Every
// destination of every Send has exactly one outcome; see [Sender].
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

// Address says where a player can be found. Implementations should be comparable, so that they can
// be the keys of a map.
type Address interface {
	encoding.TextMarshaler

	// Equal tells whether both addresses are those of the same player.
	Equal(other Address) bool

	// String returns a form for people to read.
	String() string

	// ConnectionType says how to connect to the address.
	ConnectionType() AddressConnectionType
}

// AddressFactory makes addresses from their text form.
type AddressFactory interface {
	serde.Factory

	// FromText returns the address whose MarshalText gave the text. It never returns nil. From a
	// text that it does not understand it makes an address that equals none that can be dialled.
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
	// GetFrom returns the player that gave the answer.
	GetFrom() Address

	// GetMessageOrError returns the answer, or the reason why there is none.
	GetMessageOrError() (serde.Message, error)
}

// Sender sends to the players of a stream. It may be used from several
// goroutines at once.
type Sender interface {
	// Send sends the message to the addresses and returns before the message has arrived anywhere.
	// Send serializes the message before it returns, and does not keep the slice. The channel
	// carries one error for each destination that is not reached, and is closed when the outcomes
	// of all destinations are known. The caller need not read it. Without addresses there are no
	// outcomes: the channel is closed at once, and Send does not serialize the message.
	//
	// Send never waits, not even for a slow player. Past a bound on the way the outcome is an
	// error, and the message is dropped. A protocol that sends a lot keeps a window: it waits for
	// outcomes before it sends more.
	Send(msg serde.Message, addrs ...Address) <-chan error
}

// Receiver receives from the players of a stream. It may be used from several
// goroutines at once; each message goes to one of them.
type Receiver interface {
	// Recv waits for the next message and returns it with its sender. The address equals that of
	// the player, but is of another type: as the key of a map use session.KeyOf of both. Recv
	// returns the error of the context if the context is done first, io.EOF when the stream has
	// ended, or the cause of an unclean end.
	//
	// A *session.MessageError is about one message, which cannot be decoded. It does not end the
	// stream: the next Recv returns the next message. A loop that ends at any error lets each player
	// end it with one malformed message.
	//
	// THE SENDER IS ONLY AS TRUE AS THE PLAYERS ON THE WAY OF THE MESSAGE ARE HONEST: it is what
	// they have passed on. A protocol that must not trust them signs its messages.
	Recv(ctx context.Context) (Address, serde.Message, error)
}

// Handler is the part of a protocol that runs on every player. A [ContextHandler] also gets a context,
// which ends with the stream or the call and tells what it is.
type Handler interface {
	// Process answers a call. A nil response without an error is an empty answer, which
	// the factory of the caller decodes like any other.
	Process(req Request) (resp serde.Message, err error)

	// Stream takes part in a stream. When it returns, with or without an error, the node's part in
	// the stream does not end: the node goes on relaying for the others.
	Stream(out Sender, in Receiver) error
}

// RPC is a procedure that can be called on the players that have registered a handler of the same
// name. It may be used from several goroutines at once.
type RPC interface {
	// Call sends the request to every player and returns their responses, one each, as they come.
	// The deadline of the context travels to the players; see [ContextHandler].
	// The channel is closed after the last response. If nobody reads it, the players do not block.
	Call(ctx context.Context, req serde.Message, players Players) (<-chan Response, error)

	// Stream opens a stream to the players. The first player is the root of the stream: the others
	// are reached through it, and the stream ends with it. This node may be one of the players or
	// not. The stream lasts until the context is done. Nothing tells the caller that a player will
	// never answer: the caller bounds how long it waits in Recv. [WithProtocol] gives the stream a tag.
	Stream(ctx context.Context, players Players) (Sender, Receiver, error)
}

// Mino is one node of the overlay.
type Mino interface {
	// GetAddressFactory returns the factory for the addresses of the overlay.
	GetAddressFactory() AddressFactory

	// GetAddress returns the address of this node.
	GetAddress() Address

	// WithSegment returns the same node with a further segment in the path of the procedures that
	// it creates. So procedures in different segments may have the same name.
	WithSegment(segment string) Mino

	// CreateRPC registers the handler under the name, in the segment, and returns the procedure,
	// with which this node calls it on other nodes. The factory makes the messages of both
	// directions. A name is one or more letters and digits of ASCII. CreateRPC returns an error for any other
	// name or segment, and for a name that is taken.
	CreateRPC(name string, h Handler, f serde.Factory) (RPC, error)
}

// MustCreateRPC is CreateRPC for names that the caller knows to be valid and free. It panics on an
// error.
func MustCreateRPC(m Mino, name string, h Handler, f serde.Factory) RPC {
	rpc, err := m.CreateRPC(name, h, f)
	if err != nil {
		panic(err)
	}

	return rpc
}
