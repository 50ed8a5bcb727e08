package minogrpc

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// NewAddressFactory returns the factory for the addresses of the overlay, which
// are of type [session.Address].
func NewAddressFactory() mino.AddressFactory {
	return session.AddressFactory{}
}

// ParseAddress returns a TCP address for [NewMinogrpc] to listen on. The IP may be
// empty for all the interfaces, and the port 0 for a free one. A host name is
// resolved when the node listens; what is neither is an error then.
func ParseAddress(ip string, port uint16) net.Addr {
	parsed := net.ParseIP(ip)
	if parsed == nil && ip != "" {
		return hostAddr(net.JoinHostPort(ip, strconv.Itoa(int(port))))
	}

	return &net.TCPAddr{IP: parsed, Port: int(port)}
}

// hostAddr is a TCP address whose host is not an IP. A net.TCPAddr cannot hold it,
// and one without an IP would listen to the whole world for a typing error.
type hostAddr string

// Network implements net.Addr.
func (a hostAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a hostAddr) String() string { return string(a) }

// isSame tells whether two addresses are those of one node, in whatever spelling and with whatever
// kind of connection.
func isSame(a, b session.Address) bool {
	return spelling.Same(a.GetDialAddress(), b.GetDialAddress())
}

// spelt returns the address of this node in the spelling that it is to have. One that the others
// know stays as it is.
func (m *Minogrpc) spelt(me session.Address) (session.Address, error) {
	if !m.noTLS {
		// A damaged certificate is that of a node, too.
		if stored, err := m.store.Load(me); isKnown(stored, err) {
			return me, nil
		}
	}

	scheme, _, _ := strings.Cut(me.String(), "://")

	return session.NewAddressFromURL(url.URL{Scheme: scheme, Host: spelling.Key(me.GetDialAddress())})
}

// errEverywhere and errAnyPort are for addresses under which other nodes would reach something else:
// two machines with such an address have the same name.
var (
	errEverywhere = errors.New("it stands for every address of a machine: " +
		"give the public URL by which the others reach this node, such as grpcs://host.example:2000")
	errAnyPort = errors.New("it has no port: " +
		"give the one by which the others reach this node, or no public URL for the one that the node listens on")
)

// checkReachable returns an error for an address that cannot be a node's.
func checkReachable(me session.Address) error {
	host, port, err := net.SplitHostPort(me.GetDialAddress())
	if err != nil {
		return err
	}

	if ip, noIP := netip.ParseAddr(host); noIP == nil && ip.Unmap().IsUnspecified() {
		return errEverywhere
	}

	if number, _ := strconv.ParseUint(port, 10, 16); number == 0 {
		return errAnyPort
	}

	return nil
}

// isKnown tells whether the store has something for an address, if only a damaged certificate.
func isKnown(stored certs.CertChain, err error) bool {
	return err != nil || len(stored) > 0
}
