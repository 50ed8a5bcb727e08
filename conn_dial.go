package session

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/watch"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// connectTimeout is how long gRPC may take to make a connection. It is only a bound for calls without
// one of their own: the set-up of a stream is shorter, and counts only while the process gets the
// processor, as gRPC cannot. It is what a server of gRPC gives a new connection, too.
const connectTimeout = 2 * time.Minute

// connectParams let a session use a neighbour that comes back about a second later. The default
// backoff of gRPC grows to two minutes.
var connectParams = grpc.ConnectParams{
	Backoff: backoff.Config{
		BaseDelay:  100 * time.Millisecond,
		Multiplier: 1.6,
		Jitter:     0.2,
		MaxDelay:   time.Second,
	},
	MinConnectTimeout: connectTimeout,
}

// ConnOption changes a default of [NewConnManager].
type ConnOption interface {
	applyConn(*ConnManager)
}

type connOptionFunc func(*ConnManager)

func (f connOptionFunc) applyConn(m *ConnManager) { f(m) }

// WithCredentials sets the function that returns the credentials for an address. The manager calls
// it once for each new connection, for several addresses at once, and holds no lock meanwhile. It
// gives the function the follower form of an [Address], and an address of another type as it is. If
// the function returns an error or panics, Acquire returns that error or panic as its error.
//
// Without this option, or when the function is nil, plain gRPC has no credentials, https trusts the
// root certificates of the system, and other addresses cannot be acquired.
func WithCredentials(get func(mino.Address) (credentials.TransportCredentials, error)) ConnOption {
	return connOptionFunc(func(m *ConnManager) {
		if get != nil {
			m.credentials = get
		}
	})
}

// WithDialOptions adds options for every connection. They take precedence over
// those of the manager.
func WithDialOptions(opts ...grpc.DialOption) ConnOption {
	return connOptionFunc(func(m *ConnManager) { m.dialOptions = append(m.dialOptions, opts...) })
}

// WithIdleTimeout sets how long the manager keeps a connection after its last Release. By default, and
// for zero and negative values, the manager closes the connection at once. So a node that makes single
// calls should set a time, or each call makes a connection.
func WithIdleTimeout(d time.Duration) ConnOption {
	return connOptionFunc(func(m *ConnManager) { m.idle = d })
}

// dialTarget is an address that can be dialled.
type dialTarget struct {
	key  Address
	addr mino.Address
	host string
}

// newDialTarget returns an error for an address that cannot be dialled.
func newDialTarget(addr mino.Address) (dialTarget, error) {
	addr = unwrapAddress(addr)

	dialable, ok := addr.(interface{ GetDialAddress() string })
	if !ok {
		return dialTarget{}, fmt.Errorf("address %v of type %T cannot be dialled", addr, addr)
	}

	host := dialable.GetDialAddress()
	if host == "" {
		return dialTarget{}, errors.New("address is empty")
	}

	target := dialTarget{key: followerOf(addr), addr: addr, host: host}

	// An orchestrator is the same node as its follower, and so has the same
	// credentials.
	if _, own := addr.(Address); own {
		target.addr = target.key
	}

	return target, nil
}

// connect makes a connection. It does not use the network yet.
func (m *ConnManager) connect(target dialTarget, to *way) (*sharedConn, error) {
	creds, err := m.credentials(target.addr)
	if err != nil {
		return nil, fmt.Errorf("no credentials: %w", err)
	}

	shared := &sharedConn{mgr: m, addr: target.addr}
	opts := []grpc.DialOption{grpc.WithConnectParams(connectParams)}

	// TLS reads a whole record at once into a buffer of its own. The buffer of gRPC would save
	// nothing, and cost memory for each idle connection.
	if creds != nil && creds.Info().SecurityProtocol == "tls" {
		opts = append(opts, grpc.WithReadBufferSize(0))
	}

	// Any bytes that come are a sign of life, for whichever stream they are.
	if creds != nil {
		opts = append(opts, grpc.WithTransportCredentials(watch.Credentials(creds, shared.meter.Store)))
	}

	opts = append(opts, m.dialOptions...)
	opts = append(opts, grpc.WithResolvers(to.resolver))

	// The default scheme is dns, which would ask a real resolver for the names of a network in
	// memory. With passthrough the dialler gets the host as it is. The dialler of the system
	// resolves names, too.
	shared.ClientConn, err = grpc.NewClient(passthrough+":///"+target.host, opts...)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client: %w", err)
	}

	return shared, nil
}

// defaultCredentials returns the credentials of addresses whose certificates need no store.
func defaultCredentials(addr mino.Address) (credentials.TransportCredentials, error) {
	switch addr.ConnectionType() {
	case mino.ACTgRPC:
		return insecure.NewCredentials(), nil
	case mino.ACThttps:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	case mino.ACTgRPCS:
		return nil, errors.New("the certificate of the address is unknown: see WithCredentials")
	default:
		return nil, fmt.Errorf("there is no way to connect to a %s address", typeName(addr.ConnectionType()))
	}
}
