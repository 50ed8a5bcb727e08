package minogrpc

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// hostOptions return the options of the host of the node: its limits and its policy.
func (m *Minogrpc) hostOptions() []host.Option {
	opts := []host.Option{
		host.WithContext(m.context),
		host.WithPolicy(host.Policy{
			Arrive: m.arrive, Identify: m.checkCaller, Allow: m.allow, Table: m.reserveTable,
			Lineage: m.lineage(),
		}),
		host.WithDialLimit(m.dials),
		host.WithMaxPlayers(m.maxPlayers),
		host.WithMaxMetadata(m.maxMetadata),
		host.WithMaxFrame(m.maxFrame()),
		host.WithLogger(m.plain),
		host.WithObserver(host.Observer{
			HandlerStarted: m.observer.HandlerStarted, HandlerEnded: m.observer.HandlerEnded,
		}),
	}

	if m.noDuplex {
		opts = append(opts, host.WithoutDuplex())
	}

	return append(opts, host.WithSessionOptions(m.session...))
}

// lineage returns which nodes may be a parent. Without TLS nobody proves anything, and the children
// are told nothing.
func (m *Minogrpc) lineage() host.Lineage {
	switch {
	case m.guard.Strict():
		return host.OnlyNamedParents
	case m.own != nil:
		return host.NamedParents
	default:
		return host.AnyParent
	}
}

// account is what a stream of a remote host has claimed.
type account struct {
	*visit

	// room is how many times the limits the streams may take with this one.
	room int
}

// Accepted implements host.Account.
func (a account) Accepted() {
	a.release(setUps)
}

// Close implements host.Account.
func (a account) Close() {
	a.end()
}

var errNoAccount = errors.New("the stream has no account")

// arrive lets the caller open one more stream, if its host has room for it. The error has a status.
func (m *Minogrpc) arrive(ctx context.Context, md metadata.MD) (host.Account, error) {
	v := m.tally.visit(remoteHost(ctx))
	room := roomFor(md)

	err := cmp.Or(
		v.claim(claim{kind: setUps}, 1, m.pending),
		v.claim(claim{kind: storedBytes}, headers.Size(md), times(m.maxMetadata, hostMetadata*room)),
		v.claim(claim{kind: openStreams}, 1, times(m.hostStreams, room)),
	)
	if err != nil {
		v.end()

		return nil, err
	}

	return account{visit: v, room: room}, nil
}

// roomFor returns how many times the limits the streams may take with this one. A broken stream gives
// back what it holds when another one goes on with its link, and all of them may break at
// once: without as much room again, a caller at the limit could not go on. Any other stream finds
// that room taken.
func roomFor(md metadata.MD) int {
	if session.ReadOffer(md).Resumes {
		return 2
	}

	return 1
}

// allow claims the stream for the gateway, and asks the authorizer. A packet outside a link needs
// neither: the session takes it only from a neighbour. The error has a status.
func (m *Minogrpc) allow(ctx context.Context, request host.Request) error {
	if request.Role == host.RoleFeeder {
		return nil
	}

	own, ok := request.Account.(account)
	if !ok {
		return host.Denied(errNoAccount) // It never happens: arrive returns one.
	}

	err := own.claim(claim{kind: openStreams, gateway: request.Caller}, 1, times(m.peerStreams, own.room))
	if err != nil {
		return err
	}

	access := AccessAdopt
	if request.Role == host.RoleOrchestrator {
		access = AccessStream
	}

	return m.authorize(ctx, request.Caller, Procedure{URI: request.Procedure, Access: access})
}

// connStream is the stream of a caller with what the node knows of its connection.
type connStream struct {
	grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]
}

// Connected implements session.ConnectedStream.
func (s connStream) Connected() bool {
	conn := connectionOf(s.Context())

	return conn != nil && !conn.Closed()
}

// Broken implements session.BrokenStream.
func (s connStream) Broken() error {
	if conn := connectionOf(s.Context()); conn != nil {
		if cause := conn.broken.Load(); cause != nil {
			return *cause
		}
	}

	return nil
}

// Reads implements session.MeteredStream.
func (s connStream) Reads() (bytes uint64, last time.Time) {
	if conn := connectionOf(s.Context()); conn != nil {
		return conn.meter.Reads()
	}

	return 0, time.Time{}
}
