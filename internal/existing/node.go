package existing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// maxMessage is the largest message that an existing node takes, in bytes.
const maxMessage = 1e9

// Config says how a node is reached. The zero value is a node without TLS on a free port of
// loopback.
type Config struct {
	// Listener accepts the connections, and belongs to the node from then on. Nil opens a
	// port on loopback.
	Listener net.Listener

	// Host is the host and port by which others know the node. Empty stands for the
	// address of the listener.
	Host string

	// Dial connects to a host and port. Nil stands for TCP.
	Dial func(ctx context.Context, host string) (net.Conn, error)

	// Certificate is what the node presents: see [NewCertificate]. Nil is a node without TLS.
	Certificate *tls.Certificate

	// Store has the certificates of the other nodes. Nil stands for one of its own.
	Store *Store

	// Height is that of the trees whose root this node is; 0 stands for 3.
	Height int

	// Setup is how long a child may take to send the header of a stream; 0 stands for 10 s.
	Setup time.Duration

	// Bounces gives a root the fault that it sends to the orchestrator whatever it does not
	// know, instead of saying that there is no route.
	Bounces bool
}

// Handler answers for a procedure. Either function may be nil if nobody calls it.
type Handler struct {
	// Process answers a Call.
	Process func(from Address, question []byte) ([]byte, error)

	// Stream plays the node's part in a stream. An error ends the stream for everybody
	// above, with the code Unknown.
	Stream func(*Session) error
}

// Node is an existing node.
type Node struct {
	cfg     Config
	me      Address
	server  *grpc.Server
	sockets *sockets
	conns   *connections
	store   *Store
	tokens  *tokens

	// moved counts the packets that came or went.
	moved atomic.Int64

	// life ends with the node, and tasks are all its goroutines but those of gRPC.
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	// mu guards what follows.
	mu       sync.Mutex
	handlers map[string]Handler
	sessions map[string]*Session
	oddities []string
}

// Start returns a node that serves. The caller must end it with [Node.Stop] or [Node.Kill].
func Start(cfg Config) (*Node, error) {
	if cfg.Listener == nil {
		port, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}

		cfg.Listener = port
	}

	if cfg.Host == "" {
		cfg.Host = cfg.Listener.Addr().String()
	}

	if cfg.Dial == nil {
		cfg.Dial = dialTCP
	}

	if cfg.Store == nil {
		cfg.Store = NewStore()
	}

	if cfg.Height == 0 {
		cfg.Height = defaultHeight
	}

	if cfg.Setup == 0 {
		cfg.Setup = setupTimeout
	}

	n := &Node{
		cfg:      cfg,
		me:       newAddress(cfg.Host, cfg.Certificate != nil),
		sockets:  newSockets(),
		store:    cfg.Store,
		tokens:   newTokens(),
		handlers: make(map[string]Handler),
		sessions: make(map[string]*Session),
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.conns = newConnections(n.store, n.sockets.watched(cfg.Dial))

	if cfg.Certificate != nil {
		n.store.Put(n.me, n.Chain())
	}

	n.serve()

	return n, nil
}

// serve runs the server. It keeps the defaults of gRPC for keepalive, with which a server
// closes a connection that is pinged more often than every five minutes.
func (n *Node) serve() {
	creds := insecure.NewCredentials()
	if n.cfg.Certificate != nil {
		creds = credentials.NewServerTLSFromCert(n.cfg.Certificate)
	}

	n.server = grpc.NewServer(
		grpc.Creds(creds),
		grpc.ForceServerCodec(codec{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.WaitForHandlers(true),
	)
	n.server.RegisterService(&service, n)

	// Its only error is that it was stopped before it began.
	n.tasks.Go(func() {
		_ = n.server.Serve(&listener{Listener: n.cfg.Listener, all: n.sockets})
	})
}

// Address returns the address of the node, in its follower form.
func (n *Node) Address() Address { return n.me }

// Handle sets the handler of a procedure, by its segments and name joined by slashes.
func (n *Node) Handle(uri string, h Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.handlers[uri] = h
}

func (n *Node) handler(uri string) (Handler, error) {
	n.mu.Lock()
	defer n.mu.Unlock()

	h, found := n.handlers[uri]
	if !found {
		return Handler{}, fmt.Errorf("unknown procedure %q", uri)
	}

	return h, nil
}

// Stop ends the sessions, the server and the connections, and waits for all goroutines. The
// handlers must return once Recv says that their session is over.
func (n *Node) Stop() {
	n.end()

	for _, s := range n.players() {
		s.close(errStopped)
	}

	n.server.Stop()
	n.conns.close()
	n.tasks.Wait()
}

// Kill is Stop for a node that dies: its connections break before it can say anything.
func (n *Node) Kill() {
	_ = n.cfg.Listener.Close()
	n.sockets.kill()
	n.Stop()
}

var errStopped = errors.New("the node has stopped")

// players returns the sessions in which the node is a player.
func (n *Node) players() []*Session {
	n.mu.Lock()
	defer n.mu.Unlock()

	all := make([]*Session, 0, len(n.sessions))
	for _, s := range n.sessions {
		all = append(all, s)
	}

	return all
}

// Sessions returns in how many streams the node is a player at the moment.
func (n *Node) Sessions() int { return len(n.players()) }

// Connections returns how many connections to other nodes the node has open.
func (n *Node) Connections() int { return n.conns.len() }

// Packets counts those that the node has sent to others, or received from them.
func (n *Node) Packets() int { return int(n.moved.Load()) }

// Oddities returns what other nodes have done that no existing node would have done, such as
// a packet over the stream of a follower. A good neighbour leaves none.
func (n *Node) Oddities() []string {
	n.mu.Lock()
	defer n.mu.Unlock()

	return slices.Clone(n.oddities)
}

func (n *Node) oddf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.oddities = append(n.oddities, fmt.Sprintf(format, args...))
}
