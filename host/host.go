package host

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errUnavailable is what callers are told once the host is being stopped.
var errUnavailable = status.Error(codes.Unavailable, ErrStopped.Error())

// Host is one node of an overlay. It implements Stream and Forward of [ptypes.OverlayServer]. All
// methods may be called from several goroutines at once.
type Host struct {
	ptypes.UnimplementedOverlayServer
	config

	me     session.Address
	text   string // of the address
	router router.Router
	conns  session.ConnectionManager

	streams *streams
	tasks   *tasks
	life    *life

	mu sync.RWMutex
	// procedures are those that the node has a handler for, by their URI.
	procedures map[string]*Procedure
}

// New returns the host of the node at an address. The router is shared by all its streams. The
// connections to other nodes come from the manager, which stays the caller's. Serve the host only when
// its procedures are registered: the host refuses a stream of any other with Unimplemented.
func New(me session.Address, r router.Router, conns session.ConnectionManager, opts ...Option) *Host {
	c := newConfig(opts)
	// An own logger of the sessions comes later.
	c.session = slices.Insert(slices.Clip(c.session), 0, session.WithLogger(c.logger))

	return &Host{
		config:     c,
		me:         me,
		text:       textOf(me),
		router:     r,
		conns:      conns,
		streams:    newStreams(),
		tasks:      newTasks(),
		life:       newLife(),
		procedures: make(map[string]*Procedure),
	}
}

// GetAddress returns the address of the node, as a follower.
func (h *Host) GetAddress() mino.Address {
	return h.me
}

// GetAddressFactory returns the factory of the addresses that the overlay uses.
func (h *Host) GetAddressFactory() mino.AddressFactory {
	return session.AddressFactory{}
}

// newSession returns the session of an address of this node.
func (h *Host) newSession(md metadata.MD, me session.Address, p *Procedure, opts ...session.Option) liveSession {
	opts = append(slices.Clip(h.session), opts...)
	sess := session.NewSession(md, me, p.factory, h.router.GetPacketFactory(), h.context, h.conns, opts...)
	live, _ := sess.(liveSession) // Every session of NewSession is one.

	return live
}

// contain runs what an application has passed to the node. A panic is an error that wraps
// contain.ErrPanic, and is logged as one of the stream.
func (h *Host) contain(stream session.StreamInfo, fn func() error) error {
	return contain.LoggedTo(func() zerolog.Logger { return stream.Logger(h.logger) }, fn)
}

// guard is contain for what answers a call: the error of a panic has a status.
func (h *Host) guard(ctx context.Context, fn func() error) error {
	return statusOf(contain.LoggedTo(func() zerolog.Logger {
		md, _ := metadata.FromIncomingContext(ctx)
		stream := session.ReadStreamInfo(md, h.me)

		return stream.Logger(h.logger)
	}, fn))
}

// statusOf gives the error of a panic a status.
func statusOf(err error) error {
	if errors.Is(err, contain.ErrPanic) {
		return status.Error(codes.Internal, err.Error())
	}

	return err
}
