package sessiontest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
)

// Node is a node of any overlay. Stop ends all that the node has started, before it returns, and may
// be called more than once.
type Node interface {
	mino.Mino

	Stop() error
}

// Place is where a node of a [Cluster] is on the network.
type Place struct {
	// Index is the number of the node, from 0.
	Index int

	// Host is the host and port that the other nodes dial, such as n0:1. It belongs into the address
	// of the node.
	Host string

	// Listener is where the node is dialled. It belongs to the node, which closes it in Stop.
	Listener net.Listener

	// Dial connects the node with the Host of another. See [Network.Dialer].
	Dial func(ctx context.Context, host string) (net.Conn, error)
}

// ClusterOption is an option of [Cluster]. Options of the same kind add up, unless their
// documentation says otherwise.
type ClusterOption func(*clusterConfig)

// clusterConfig is what the options have set.
type clusterConfig struct {
	node       func(Place) (Node, error)
	router     func(mino.AddressFactory) router.Router
	minogrpc   []minogrpc.Option
	procedures []procedure
	setups     []func(int, mino.Mino) error
}

// procedure is what CreateRPC takes.
type procedure struct {
	name    string
	handler mino.Handler
	factory serde.Factory
}

func newClusterConfig(opts []ClusterOption) *clusterConfig {
	c := &clusterConfig{router: func(f mino.AddressFactory) router.Router { return tree.NewRouter(f) }}
	c.node = c.newMinogrpc

	for _, opt := range opts {
		opt(c)
	}

	return c
}

// WithRPC creates a procedure with the same handler on every node, and again on a node that is
// restarted. [Nodes.RPC] returns it.
func WithRPC(name string, handler mino.Handler, factory serde.Factory) ClusterOption {
	return func(c *clusterConfig) { c.procedures = append(c.procedures, procedure{name, handler, factory}) }
}

// WithSetup calls a function for every node when it has started, in the order of the indices, and
// again for a node that is restarted. An error of the function fails the test at once. It is the
// place to create procedures that differ from node to node.
func WithSetup(setup func(i int, node mino.Mino) error) ClusterOption {
	return func(c *clusterConfig) { c.setups = append(c.setups, setup) }
}

// WithNodes makes the nodes those of another overlay: start returns a node that runs at the place.
// It is called once for each node, and again for a restart. The last one counts. [WithRouter] and
// [WithMinogrpc] mean nothing to such nodes.
func WithNodes(start func(Place) (Node, error)) ClusterOption {
	return func(c *clusterConfig) { c.node = start }
}

// WithRouter gives the nodes of minogrpc another router than that of the tree. It is called for each
// node. The last one counts.
func WithRouter(newRouter func(mino.AddressFactory) router.Router) ClusterOption {
	return func(c *clusterConfig) { c.router = newRouter }
}

// WithMinogrpc adds options for the nodes of minogrpc.
func WithMinogrpc(opts ...minogrpc.Option) ClusterOption {
	return func(c *clusterConfig) { c.minogrpc = append(c.minogrpc, opts...) }
}

// newMinogrpc starts a node of the overlay that ships, without TLS.
func (c *clusterConfig) newMinogrpc(p Place) (Node, error) {
	opts := slices.Concat([]minogrpc.Option{
		minogrpc.NoTLS(),
		minogrpc.WithListener(p.Listener),
		minogrpc.WithDialOptions(grpc.WithContextDialer(p.Dial)),
	}, c.minogrpc)

	node, err := minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: p.Host},
		c.router(minogrpc.NewAddressFactory()), opts...)
	if err != nil {
		return nil, fmt.Errorf("minogrpc: %w", err)
	}

	return node, nil
}
