package host

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxQuoted is how much of a malformed text an error repeats, in bytes.
const maxQuoted = 100

var (
	errNoAddress = errors.New("no address")
	errNoPlayers = errors.New("no players")
)

// PeerOf returns the follower form of an address. It returns an error for a nil address, and for one that
// this library cannot dial.
func PeerOf(addr mino.Address) (session.Address, error) {
	if addr == nil {
		return session.Address{}, errNoAddress
	}

	peer, ok := session.FollowerOf(addr).(session.Address)
	if !ok {
		return session.Address{}, fmt.Errorf("%v is of the unknown type %T", addr, addr)
	}

	if _, err := peer.GetHostname(); err != nil {
		return session.Address{}, err
	}

	switch peer.ConnectionType() {
	case mino.ACTgRPC, mino.ACTgRPCS, mino.ACThttps:
		return peer, nil
	default:
		return session.Address{}, fmt.Errorf("no way to connect to %v", peer)
	}
}

// ReadAddress is [PeerOf] for the text of an address. The key says where the text comes from, usually a
// key of the metadata. The error has the status InvalidArgument, and names the key.
func ReadAddress(key, text string) (session.Address, error) {
	addr, err := PeerOf(session.AddressFactory{}.FromText([]byte(text)))
	if err != nil {
		return session.Address{}, status.Errorf(codes.InvalidArgument, "metadata %s %.*q: %v",
			key, maxQuoted, text, err)
	}

	return addr, nil
}

// ReadGateway returns the address that the caller gives in the metadata of its call, as a follower. The
// error has the status InvalidArgument.
func ReadGateway(md metadata.MD) (session.Address, error) {
	text, err := single(md, session.GatewayKey)
	if err != nil {
		return session.Address{}, err
	}

	return ReadAddress(session.GatewayKey, text)
}

// single returns the value of a key. It returns an error unless there is exactly one, and not empty.
func single(md metadata.MD, key string) (string, error) {
	values := md.Get(key)
	if len(values) != 1 || values[0] == "" {
		return "", status.Errorf(codes.InvalidArgument, "metadata must have one value for %s", key)
	}

	return values[0], nil
}

// textOf returns the text form of an address.
func textOf(addr session.Address) string {
	return spelling.Text(addr)
}

// errOddText is for an address that gRPC does not take into the metadata of a call.
var errOddText = errors.New("the address has other characters than printable ASCII " +
	"(a domain name of other letters has a form that begins with xn--)")

// playerOf is PeerOf for an address that travels in the metadata. The error names the player.
func playerOf(player mino.Address) (session.Address, error) {
	addr, err := PeerOf(player)

	switch {
	case player == nil:
		return addr, fmt.Errorf("player: %w", err)
	case err == nil && !isPrintable(textOf(addr)):
		err = errOddText
	}

	if err != nil {
		return addr, fmt.Errorf("player %.*q: %w", maxQuoted, player, err)
	}

	return addr, nil
}

// isPrintable tells whether gRPC takes the text as the value of a header.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}

	return true
}

// playersOf returns the addresses of the players, each once.
func playersOf(players mino.Players, limit int) ([]session.Address, error) {
	if players == nil {
		return nil, errNoPlayers
	}

	if players.Len() > limit {
		return nil, fmt.Errorf("%d players are more than %d", players.Len(), limit)
	}

	addrs := make([]session.Address, 0, players.Len())
	seen := make(map[session.Address]struct{}, players.Len())
	nodes := make(map[string]session.Address, players.Len())

	for it := players.AddressIterator(); it.HasNext(); {
		addr, err := playerOf(it.GetNext())
		if err != nil {
			return nil, err
		}

		if _, found := seen[addr]; found {
			continue
		}

		// A message for one of them would come to the other.
		key := session.KeyOf(addr)
		if same, found := nodes[key]; found && same.ConnectionType() != addr.ConnectionType() {
			return nil, fmt.Errorf("the players %v and %v are the same node", same, addr)
		}

		// An iterator may have more addresses than Len says.
		if len(addrs) == limit {
			return nil, fmt.Errorf("more than %d players", limit)
		}

		seen[addr] = struct{}{}
		nodes[key] = addr

		addrs = append(addrs, addr)
	}

	if len(addrs) == 0 {
		return nil, errNoPlayers
	}

	return addrs, nil
}
