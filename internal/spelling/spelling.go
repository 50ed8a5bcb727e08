// Package spelling compares the hosts of addresses that may be spelt in several ways.
//
// The text of an address is never rewritten: other nodes know a node by the text that it
// has. A key from this package is only for comparing two texts.
package spelling

import (
	"encoding"
	"net"
	"net/netip"
	"strings"
)

// Key returns the same text for all spellings of one host and port: in small letters,
// without a dot at the end of the host or zeros before the port, with an IP address in its
// shortest form. An IPv4 address that is mapped into IPv6 counts as itself. What is no host
// and port is only put into small letters. Key never fails.
func Key(hostport string) string {
	hostport = strings.ToLower(hostport)

	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.TrimSuffix(hostport, ".")
	}

	host = strings.TrimSuffix(host, ".")

	ip, err := netip.ParseAddr(host)
	if err == nil {
		host = ip.Unmap().String()
	}

	short := strings.TrimLeft(port, "0")
	if short == "" && port != "" {
		short = "0"
	}

	return net.JoinHostPort(host, short)
}

// Same tells whether two texts are spellings of one host and port.
func Same(a, b string) bool {
	return a == b || Key(a) == Key(b)
}

// Text returns the text of an address whose MarshalText never fails, as that of session.Address. It is
// the text by which other nodes know the node.
func Text(addr encoding.TextMarshaler) string {
	text, _ := addr.MarshalText()

	return string(text)
}
