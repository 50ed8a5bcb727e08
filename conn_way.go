package session

import (
	"sync"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// passthrough is the scheme of a target whose host the dialler gets as it is.
const passthrough = "passthrough"

// way is where a connection leads: always to the same host. gRPC takes an address with another
// round for another address. It then connects to that one, and lets what goes on over the former
// transport end there.
type way struct {
	host     string
	resolver *manual.Resolver

	mu    sync.Mutex
	round int
}

// roundKey is the key of the round among the attributes of an address.
type roundKey struct{}

func newWay(host string) *way {
	w := &way{host: host, resolver: manual.NewBuilderWithScheme(passthrough)}
	w.resolver.InitialState(w.state())

	return w
}

// state returns the one address that there is.
func (w *way) state() resolver.State {
	to := resolver.Address{Addr: w.host, Attributes: attributes.New(roundKey{}, w.round)}

	return resolver.State{Addresses: []resolver.Address{to}}
}

// renew begins another round.
func (w *way) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.round++
	w.resolver.UpdateState(w.state())
}
