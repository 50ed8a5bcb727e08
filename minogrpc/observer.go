package minogrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/hook"
	"github.com/minogrpc/session/mino"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Observer has functions that the node calls when it refuses or learns something. Streams have an
// observer of their own: see [WithSessionOptions]. Each field may be nil. The node calls the functions
// from several goroutines at once, and calls wait for them: they must be quick. The node contains and
// logs a panic in them.
type Observer struct {
	// Refused is called for each call and each connection of another node that this node refuses. The
	// other node is not the one that it says it is, or it may not do what it asks for, or something is
	// malformed, or a limit is reached. A hostile peer decides how often that happens.
	Refused func(Refusal)

	// Learned is called when Join or Share has added the certificate of a node to the store, or
	// renewed it there. It may be called from within [Minogrpc.Join].
	Learned func(addr mino.Address)

	// Allowed is called for each Call and each stream of a caller that the node has identified and the
	// [Authorizer], if there is one, has let pass. Together with Refused it makes a complete audit log.
	// If such a call fails a later check, the node calls Refused as well.
	Allowed func(Caller, Procedure)

	// Accepted is called for each connection of another node that the node has accepted, before the
	// handshake. A hostile peer decides how often that happens.
	Accepted func(peer net.Addr)

	// DialFailed is called when the node could not open a TCP connection to a host and port. gRPC tries
	// again by itself. The node does not call it if [WithDialOptions] sets another dialer.
	DialFailed func(hostport string, err error)

	// HandlerStarted is called just before the handler of a stream or of a call, in the goroutine of the
	// handler. In a call the stream has no id.
	HandlerStarted func(stream session.StreamInfo)

	// HandlerEnded is called when the handler has returned, with its error and how long it took.
	HandlerEnded func(stream session.StreamInfo, err error, took time.Duration)
}

// join returns an observer that tells both, this one first.
func (o Observer) join(next Observer) Observer {
	return Observer{
		Refused:        hook.Join1(o.Refused, next.Refused),
		Learned:        hook.Join1(o.Learned, next.Learned),
		Allowed:        hook.Join2(o.Allowed, next.Allowed),
		Accepted:       hook.Join1(o.Accepted, next.Accepted),
		DialFailed:     hook.Join2(o.DialFailed, next.DialFailed),
		HandlerStarted: hook.Join1(o.HandlerStarted, next.HandlerStarted),
		HandlerEnded:   hook.Join3(o.HandlerEnded, next.HandlerEnded),
	}
}

// accepted tells the observer of a connection.
func (m *Minogrpc) accepted(from net.Addr) {
	if m.observer.Accepted != nil {
		m.observe(func() { m.observer.Accepted(ownAddr(from)) })
	}
}

// dialled tells the log and the observer of a dial that has failed, unless somebody has given it up. It limits
// the lines: gRPC dials again and again.
func (m *Minogrpc) dialled(ctx context.Context, hostport string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}

	m.dialLog.Do(func() { m.logger.Warn().Err(err).Str("peer", hostport).Msg("dial failed") })

	if m.observer.DialFailed != nil {
		m.observe(func() { m.observer.DialFailed(hostport, err) })
	}
}

// Refusal is a call or a connection that the node has refused.
type Refusal struct {
	// Peer is the other end of the connection. It is nil when the node could not accept a
	// connection at all, for example because the process has no file descriptor left.
	Peer net.Addr

	// Method is the full name of the gRPC method, such as /ptypes.Overlay/Forward. It is empty for a
	// connection that the node refuses before the first call.
	Method string

	// Err is the reason. It has a gRPC status, which the caller of the method gets. The text of Err
	// may say more than that status.
	Err error
}

// refusals are the statuses by which the node itself refuses a call, with the level of the log. The
// last two happen among honest nodes, too, when one is late. Errors of the application's handlers have
// the status Unknown, which is not here.
var refusals = map[codes.Code]zerolog.Level{
	codes.Unauthenticated:    zerolog.WarnLevel,
	codes.PermissionDenied:   zerolog.WarnLevel,
	codes.AlreadyExists:      zerolog.WarnLevel,
	codes.ResourceExhausted:  zerolog.WarnLevel,
	codes.InvalidArgument:    zerolog.WarnLevel,
	codes.NotFound:           zerolog.DebugLevel,
	codes.FailedPrecondition: zerolog.DebugLevel,
}

// observeCall tells of a call if the node has refused it.
func (m *Minogrpc) observeCall(ctx context.Context, method string, err error) {
	if _, refused := refusals[status.Code(err)]; !refused {
		return
	}

	r := Refusal{Method: method, Err: err}
	if from, ok := peer.FromContext(ctx); ok {
		r.Peer = from.Addr
	}

	m.refusedIn(ctx, r)
}

// handshakeFailed counts a connection whose handshake has failed. It does not count a peer that has sent
// nothing: a health check connects, and then closes or resets the connection, or is silent. Nor does it
// count a connection that the node itself has ended, in a stop or to make room for another one.
func (m *Minogrpc) handshakeFailed(raw net.Conn, err error) {
	conn, _ := raw.(*accepted)

	switch {
	case errors.Is(err, io.EOF) || m.host.Stopping().Err() != nil:
		return
	case conn != nil && (conn.evicted.Load() || !conn.heard.Load()):
		return
	}

	from := raw.RemoteAddr()

	// A client that does not believe this node sends an alert. It means no harm, tries again and
	// again, and may share its host with others.
	failure, ok := errors.AsType[*net.OpError](err)
	if !ok || failure.Op != "remote error" {
		m.rates.handshakeFailed(hostOf(from))
	}

	m.refused(Refusal{Peer: from, Err: status.Error(codes.Unauthenticated, err.Error())})
}

// refused is refusedIn for what is about no stream.
func (m *Minogrpc) refused(r Refusal) {
	m.refusedIn(context.Background(), r)
}

// refusedIn tells the observer and the log. It limits the lines in the log, because a hostile peer decides
// how many refusals there are. It contains panics of both: gRPC calls it in goroutines of its own.
func (m *Minogrpc) refusedIn(ctx context.Context, r Refusal) {
	var logged bool

	r.Peer = ownAddr(r.Peer)
	m.refusalLog.Do(func() { logged = true })

	if logged {
		level := refusals[status.Code(r.Err)]
		_ = contain.Do(func() {
			stream := m.streamOf(ctx)
			log := stream.Logger(m.plain)
			log.WithLevel(level).Err(r.Err).Stringer("peer", r.Peer).Str("method", r.Method).Msg("refused")
		})
	}

	if m.observer.Refused != nil {
		m.observe(func() { m.observer.Refused(r) })
	}
}

// learned tells the observer and the log of another node.
func (m *Minogrpc) learned(addr mino.Address) {
	m.logger.Info().Stringer("peer", addr).Msg("certificate learned")

	if m.observer.Learned != nil {
		m.observe(func() { m.observer.Learned(addr) })
	}
}

// observe calls a function of the observer.
func (m *Minogrpc) observe(call func()) {
	_ = m.contain(func() error {
		call()

		return nil
	})
}
