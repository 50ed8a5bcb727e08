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

// NewAddressFactory returns the factory for the addresses of the overlay. They have the type
// [session.Address].
func NewAddressFactory() mino.AddressFactory {
	return session.AddressFactory{}
}

// ParseAddress returns a TCP address for [NewMinogrpc] to listen on. An empty IP stands for all
// interfaces, and port 0 for a free port. The IP may also be a host name, which NewMinogrpc resolves;
// NewMinogrpc returns an error for a text that is neither.
func ParseAddress(ip string, port uint16) net.Addr {
	parsed := net.ParseIP(ip)
	if parsed == nil && ip != "" {
		return hostAddr(net.JoinHostPort(ip, strconv.Itoa(int(port))))
	}

	return &net.TCPAddr{IP: parsed, Port: int(port)}
}

// hostAddr is a TCP address with a host that is not an IP. A net.TCPAddr cannot hold such a host. Without
// an IP it would listen on all interfaces, for a mere typing error.
type hostAddr string

// Network implements net.Addr.
func (a hostAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a hostAddr) String() string { return string(a) }

// isSame tells whether two addresses are spellings of one host and port. The kind of connection does not
// matter.
func isSame(a, b session.Address) bool {
	return spelling.Same(a.GetDialAddress(), b.GetDialAddress())
}

// spelt returns the address of this node in its canonical spelling. It keeps a spelling for which the
// store has a certificate, because the others know the node by that.
func (m *Minogrpc) spelt(me session.Address) (session.Address, error) {
	if !m.noTLS {
		// A damaged certificate belongs to a node, too.
		if stored, err := m.store.Load(me); isKnown(stored, err) {
			return me, nil
		}
	}

	scheme, _, _ := strings.Cut(me.String(), "://")

	return session.NewAddressFromURL(url.URL{Scheme: scheme, Host: spelling.Key(me.GetDialAddress())})
}

// errEverywhere and errAnyPort are for addresses that are no good as names: two machines may have the
// same one, and other nodes would reach something else under it.
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
