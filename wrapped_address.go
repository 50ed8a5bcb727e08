package session

import (
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
)

// wrappedAddress is an address as Recv returns it. It hides from protocols whether the sender is
// the orchestrator, because they compare it with the addresses of the players that they know. Send
// unwraps it, so that a reply to an orchestrator does not go to the follower on the same host.
//
// It is comparable when the address inside is.
type wrappedAddress struct{ mino.Address }

// Equal implements [mino.Address]. Only the host counts.
func (w wrappedAddress) Equal(other mino.Address) bool {
	return other != nil && hostOf(w.Address) == hostOf(other)
}

// wrapAddress returns the address as Recv is to return it. Nil stays nil.
func wrapAddress(addr mino.Address) mino.Address {
	if _, done := addr.(wrappedAddress); done || addr == nil {
		return addr
	}

	return wrappedAddress{Address: addr}
}

// unwrapAddress undoes wrapAddress. Any other address is returned as it is.
func unwrapAddress(addr mino.Address) mino.Address {
	if wrapped, ok := addr.(wrappedAddress); ok {
		return wrapped.Address
	}

	return addr
}

// KeyOf returns the key of a node in a map, for an address that comes from Recv as for any other.
// The key is the host in one spelling. It is the same for the follower and for the orchestrator,
// whatever the connection type is. So two nodes have one key if Recv's address of one equals the
// address of the other. The key is empty for nil, and for an address that panics. The key is no
// address: other nodes know a node by its text.
func KeyOf(addr mino.Address) string {
	host, _ := contain.Call(func() (string, error) { return hostOf(addr), nil }) // The zero text has no host.

	return spelling.Key(host)
}

// FollowerOf returns the follower form of an address: an [Address] with the same host and
// connection type. It is the same value for an orchestrator, for the follower on the same host, and
// for either of them as Recv returns it. As the key of a map use [KeyOf].
//
// The host of an address of another type is what its GetDialAddress method returns, if it has one;
// otherwise it is what its text form holds. A nil address stays nil.
func FollowerOf(addr mino.Address) mino.Address {
	if addr == nil {
		return nil
	}

	return followerOf(addr)
}

// followerOf is FollowerOf with the type that it always returns. Nil gives the
// zero Address.
func followerOf(addr mino.Address) Address {
	addr = unwrapAddress(addr)
	if addr == nil {
		return Address{}
	}

	a, own := addr.(Address)
	if own && !a.isOrchestrator() {
		return a
	}

	return makeAddress(followerLetter, letterType(addr.ConnectionType()), hostOf(addr))
}

// hostOf returns the host of the followerOf an address, without an allocation for an Address in
// either role.
func hostOf(addr mino.Address) string {
	switch addr := unwrapAddress(addr).(type) {
	case nil:
		return ""
	case Address:
		return addr.host()
	default:
		return foreignHost(addr, addr.ConnectionType())
	}
}

// foreignHost returns the host of an address that is not one of this package.
func foreignHost(addr mino.Address, connType mino.AddressConnectionType) string {
	if dialable, ok := addr.(interface{ GetDialAddress() string }); ok {
		return dialable.GetDialAddress()
	}

	text, err := addr.MarshalText()
	if err != nil {
		return addr.String()
	}

	// A type that takes part in a network with other nodes uses their text form. A host may
	// happen to begin like one; its second letter then hardly fits the connection type.
	own := len(text) >= prefixSize && (text[0] == orchestratorLetter || text[0] == followerLetter)
	if own && text[1] == firstTypeLetter+byte(connType) {
		return string(text[prefixSize:])
	}

	return NewAddress(string(text)).host()
}

// letterType returns the connection type, or unknownType if it has no letter.
func letterType(connType mino.AddressConnectionType) mino.AddressConnectionType {
	letter := connType + firstTypeLetter
	if letter < 0 || letter > 0xff {
		return unknownType
	}

	return connType
}
