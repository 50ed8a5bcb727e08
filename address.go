package session

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

const (
	// The first letter of the text form is the role. Any other than the first is
	// read as the second.
	orchestratorLetter = 'O'
	followerLetter     = 'F'

	// firstTypeLetter is the second letter of the text form for the connection type
	// 0. The next letters are the next types.
	firstTypeLetter = 'A'

	// unknownType stands for the connection types that one letter cannot hold. So their text
	// is never that of an address that can be dialled.
	unknownType = '?' - firstTypeLetter

	// maxHostPort bounds the host and port of an address that can be dialled, in bytes. The
	// longest name of DNS has 253.
	maxHostPort = 300 - prefixSize

	// prefixSize is the number of letters in front of the host, and zeroText the
	// text form of the zero Address.
	prefixSize = 2
	zeroText   = "FA"

	orchestratorPrefix = "Orchestrator:"
	schemeSeparator    = "://"
)

// schemes are the names of the connection types that a URL may ask for. The WebSocket type has
// none, because it cannot be dialled.
var schemes = map[string]mino.AddressConnectionType{
	"grpc":  mino.ACTgRPC,
	"grpcs": mino.ACTgRPCS,
	"https": mino.ACThttps,
}

// Address says where a player can be found, and in which role: an orchestrator opens a stream, a
// follower takes part in it. One node may be both in the same stream; these are two different
// players.
//
// An Address is an immutable value. It can be compared with == and be the key of a map. The zero
// Address is a follower that nobody can dial. The addresses that Recv returns are of another type:
// see [FollowerOf].
type Address struct {
	// text is the text form, which packets and maps ask for all the time. Everything else is
	// read from it. It is empty for the zero Address alone, so that equal addresses are equal
	// values.
	text string
}

// NewAddress returns the address of a follower. The host is "host:port". It may have the scheme
// grpc, grpcs or https in front of it ("https://host:port"); without one the scheme is grpcs.
// NewAddress drops what comes after the port in a URL. It does not fail: it takes any other text as
// a host, which fails when somebody dials it. Use [NewAddressFromURL] to have the text checked.
func NewAddress(host string) Address {
	// Without the slashes url.Parse takes the host for a scheme or for a path.
	if !strings.Contains(host, "//") {
		return makeAddress(followerLetter, mino.ACTgRPCS, host)
	}

	u, err := url.Parse(host)
	if err != nil || u.Host == "" {
		return makeAddress(followerLetter, mino.ACTgRPCS, host)
	}

	connType, err := schemeType(u.Scheme)
	if err != nil {
		return makeAddress(followerLetter, mino.ACTgRPCS, host)
	}

	return makeAddress(followerLetter, connType, u.Host)
}

// NewAddressFromURL returns the address of the follower at the host and port of
// the URL. The scheme must be grpc, grpcs, https, or empty for grpcs. It returns
// an error for another scheme, and when the host or the port is missing, the host is
// malformed or the port is not a number below 65536. See [Address.GetHostname] for what a host
// must not be.
func NewAddressFromURL(addr url.URL) (Address, error) {
	connType, err := schemeType(addr.Scheme)
	if err != nil {
		return Address{}, err
	}

	host, port, err := net.SplitHostPort(addr.Host)
	if err != nil {
		return Address{}, fmt.Errorf("malformed host: %w", err)
	}

	if host == "" {
		return Address{}, fmt.Errorf("malformed host: no host in %q", addr.Host)
	}

	if _, err = strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("malformed port: %w", err)
	}

	a := makeAddress(followerLetter, connType, addr.Host)
	if _, err = a.GetHostname(); err != nil {
		return Address{}, err
	}

	return a, nil
}

// NewOrchestratorAddress returns the orchestrator form of an address of any kind. It has the same
// host and connection type, whatever they are, in the other role. NewOrchestratorAddress unwraps an
// address that comes from Recv. [FollowerOf] says what the host of an address of another type is.
func NewOrchestratorAddress(addr mino.Address) Address {
	a := followerOf(addr)

	return makeAddress(orchestratorLetter, a.ConnectionType(), a.host())
}

// makeAddress returns the address with this text form. The connection type must
// have a letter.
func makeAddress(role byte, connType mino.AddressConnectionType, host string) Address {
	letters := [prefixSize]byte{role, firstTypeLetter + byte(connType)}

	// The conversion does not allocate, and the sum does it once.
	text := string(letters[:]) + host
	if text == zeroText {
		return Address{}
	}

	return Address{text: text}
}

// ConnectionType returns how to connect to the address. It is none of the known types if the
// address was made from a text with an unknown type.
func (a Address) ConnectionType() mino.AddressConnectionType {
	return mino.AddressConnectionType(a.key()[1]) - firstTypeLetter
}

// Equal tells whether other is an Address of the same role, connection type and host, or an address
// from Recv with the same host. It returns false for any other type.
func (a Address) Equal(other mino.Address) bool {
	switch other := other.(type) {
	case Address:
		return a == other
	case wrappedAddress:
		return hostOf(other.Address) == a.host()
	default:
		return false
	}
}

// GetDialAddress returns the host and port as grpc.NewClient and net.Dial take
// them. It is empty for the zero Address.
func (a Address) GetDialAddress() string {
	return a.host()
}

// GetHostname returns the host without the port, and an IPv6 address without the
// brackets. It returns an error when the address has no host or a malformed one. It also
// refuses a text of more than 300 bytes, characters that cannot be printed, and an IPv6 address
// with a zone: the zone names an interface of one machine, and means nothing to another node.
func (a Address) GetHostname() (string, error) {
	hostport := a.host()
	if len(hostport) > maxHostPort {
		return "", fmt.Errorf("malformed address: %d bytes are more than %d", len(a.key()), maxHostPort+prefixSize)
	}

	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}

	ip, err := netip.ParseAddr(host)
	if err == nil && ip.Zone() == "" {
		return host, nil
	}

	if err == nil {
		return "", fmt.Errorf("malformed address: the zone in %q means nothing to other nodes", hostport)
	}

	// The rest must be a name: no other part of a URL, and nothing that cannot be printed.
	if host == "" || strings.ContainsAny(host, ":[]") || strings.ContainsAny(hostport, "/?#@% ") ||
		!utf8.ValidString(hostport) || strings.ContainsFunc(hostport, isUnprintable) {
		return "", fmt.Errorf("malformed address: no host in %q", hostport)
	}

	return host, nil
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// MarshalText returns the text form, which [AddressFactory] reads: a letter for
// the role, one for the connection type, and the host. The caller owns the bytes.
// The error is always nil.
func (a Address) MarshalText() ([]byte, error) {
	return []byte(a.key()), nil
}

// AppendText implements [encoding.TextAppender] with the same text. A type that
// embeds an Address and has a text of its own needs both methods.
func (a Address) AppendText(b []byte) ([]byte, error) {
	return append(b, a.key()...), nil
}

// String returns the address as a URL, with a word in front of it when it is an
// orchestrator.
func (a Address) String() string {
	prefix := ""
	if a.isOrchestrator() {
		prefix = orchestratorPrefix
	}

	return prefix + typeName(a.ConnectionType()) + schemeSeparator + a.host()
}

// key returns the text form without a copy.
func (a Address) key() string {
	if a.text == "" {
		return zeroText
	}

	return a.text
}

// host returns what follows the two letters, without a copy.
func (a Address) host() string {
	return a.key()[prefixSize:]
}

// isOrchestrator tells whether the address is one in the role of the node that
// opened the stream.
func (a Address) isOrchestrator() bool {
	return a.key()[0] == orchestratorLetter
}

// AddressFactory makes an [Address] from its text form. The zero value is ready for use.
type AddressFactory struct{ serde.Factory }

// FromText implements [mino.AddressFactory]. It never fails. Less than two bytes give the zero
// Address. An unknown letter for the connection type gives an address that cannot be dialled and
// equals none that can.
func (f AddressFactory) FromText(text []byte) mino.Address {
	if len(text) < prefixSize || string(text) == zeroText {
		return Address{}
	}

	if text[0] == orchestratorLetter || text[0] == followerLetter {
		return Address{text: string(text)}
	}

	return makeAddress(followerLetter, mino.AddressConnectionType(text[1])-firstTypeLetter, string(text[prefixSize:]))
}

// Deserialize implements [serde.Factory] with the embedded factory. An address has no message form,
// so Deserialize returns an error if there is no embedded factory.
func (f AddressFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	if f.Factory == nil {
		return nil, errors.New("an address is not a message: use FromText")
	}

	return f.Factory.Deserialize(ctx, data)
}

// schemeType returns the connection type that the scheme of a URL asks for.
func schemeType(scheme string) (mino.AddressConnectionType, error) {
	if scheme == "" {
		return mino.ACTgRPCS, nil
	}

	connType, ok := schemes[scheme]
	if !ok {
		return 0, fmt.Errorf("unknown scheme %q", scheme)
	}

	return connType, nil
}

// typeName is how String writes a connection type.
func typeName(connType mino.AddressConnectionType) string {
	switch connType {
	case mino.ACTgRPC:
		return "grpc"
	case mino.ACTgRPCS:
		return "grpcs"
	case mino.ACThttps:
		return "https"
	case mino.ACTws:
		return "ws"
	default:
		return fmt.Sprintf("unknown-%d", connType)
	}
}
