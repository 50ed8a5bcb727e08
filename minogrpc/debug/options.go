package debug

import (
	"net"
	"net/netip"
	"strings"
)

// Option is an option of [Handler].
type Option func(*config)

// config is what the options have set.
type config struct {
	// hosts are the names that are served, in lower case.
	hosts map[string]bool
	any   bool

	descendants bool
}

// newConfig returns what the options set.
func newConfig(opts []Option) config {
	c := config{hosts: map[string]bool{"localhost": true}}
	for _, opt := range opts {
		opt(&c)
	}

	return c
}

// WithHosts also serves requests to these host names, without a port. They are the names of this
// machine, or of a proxy in front of it. The name "*" stands for all names: use it only if the proxy
// checks them, or asks who the reader is.
func WithHosts(names ...string) Option {
	return func(c *config) {
		for _, name := range names {
			c.any = c.any || name == "*"
			c.hosts[strings.ToLower(name)] = true
		}
	}
}

// serves tells whether requests to that host are served. A page of another site can be read from under
// its own name only, which is no IP address.
func (c config) serves(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host // without a port
	}

	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")

	_, err = netip.ParseAddr(name)

	return c.any || err == nil || c.hosts[strings.ToLower(strings.TrimSuffix(name, "."))]
}
