package existing

import "strings"

// The letters of a text form: the role, and how to connect.
const (
	orchestratorRole = "O"
	followerRole     = "F"

	plainKind  = 'A'
	tlsKind    = 'B'
	publicKind = 'C'
)

// Address is an address in the text form that travels, such as FB127.0.0.1:2000.
type Address string

// newAddress returns the follower at a host and port.
func newAddress(host string, secure bool) Address {
	kind := plainKind
	if secure {
		kind = tlsKind
	}

	return Address(followerRole + string(kind) + host)
}

// Host returns the host and port, empty for a text that holds none.
func (a Address) Host() string {
	if len(a) < 2 {
		return ""
	}

	return string(a[2:])
}

// Follower returns the address of the player at the same host.
func (a Address) Follower() Address { return a.as(followerRole) }

// Orchestrator returns the address of the orchestrator at the same host.
func (a Address) Orchestrator() Address { return a.as(orchestratorRole) }

func (a Address) as(role string) Address {
	if a == "" {
		return ""
	}

	return Address(role) + a[1:]
}

// kind returns the letter of the connection type.
func (a Address) kind() byte {
	if len(a) < 2 {
		return 0
	}

	return a[1]
}

// String returns the form for people, which is also the one inside of error texts.
func (a Address) String() string {
	scheme := "?"

	switch a.kind() {
	case plainKind:
		scheme = "grpc"
	case tlsKind:
		scheme = "grpcs"
	case publicKind:
		scheme = "https"
	}

	text := scheme + "://" + a.Host()
	if strings.HasPrefix(string(a), orchestratorRole) {
		return "Orchestrator:" + text
	}

	return text
}
