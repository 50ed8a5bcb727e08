package minogrpc

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Observer is told what a node does beside its streams, which have an observer of their
// own; see [WithSessionOptions]. Every field may be nil. The functions are called from
// several goroutines at once, on the way of the calls: they must be quick. A panic in one
// of them is contained and logged.
type Observer struct {
	// Refused is called for each call and connection of others that is refused, before it
	// has an effect: somebody is not who he says he is or may not do what he asks for,
	// something is malformed, or a limit is passed. A hostile peer decides how often.
	Refused func(Refusal)

	// Learned is called when the certificate of another node has been added to the store
	// or renewed there by Join or Share. It may be called from within [Minogrpc.Join].
	Learned func(addr mino.Address)

	// Allowed is called for each Call and each stream of others that passed the proof of who
	// calls and the [Authorizer], if there is one. It makes an audit log complete together with
	// Refused, which is told when such a call fails a later check.
	Allowed func(Caller, Procedure)
}

// Refusal is a call or a connection that has been refused.
type Refusal struct {
	// Peer is the other end of the connection. It is nil when the node could not accept a
	// connection at all, for example because the process has no file descriptor left.
	Peer net.Addr

	// Method is the full name of the gRPC method, such as /ptypes.Overlay/Forward. It is
	// empty for a connection that is refused before anything is called.
	Method string

	// Err is why. It has a gRPC status, which is what the caller of a method gets. The text of
	// Err may say more than that status.
	Err error
}

// refusals are the statuses by which the node itself refuses a call, and how much each
// matters: the last ones happen among honest nodes, too, when one is late. What the
// handlers of the application return has the status Unknown.
var refusals = map[codes.Code]zerolog.Level{
	codes.Unauthenticated:    zerolog.WarnLevel,
	codes.PermissionDenied:   zerolog.WarnLevel,
	codes.AlreadyExists:      zerolog.WarnLevel,
	codes.ResourceExhausted:  zerolog.WarnLevel,
	codes.InvalidArgument:    zerolog.WarnLevel,
	codes.NotFound:           zerolog.DebugLevel,
	codes.FailedPrecondition: zerolog.DebugLevel,
}

// observeCall tells about a call if it was refused.
func (m *Minogrpc) observeCall(ctx context.Context, method string, err error) {
	if _, refused := refusals[status.Code(err)]; !refused {
		return
	}

	r := Refusal{Method: method, Err: err}
	if from, ok := peer.FromContext(ctx); ok {
		r.Peer = from.Addr
	}

	m.refused(r)
}

// handshakeFailed counts a connection that has not come so far as to call. Only a peer that has sent
// something has tried: a health check connects, and closes or resets the connection, or is silent.
// The node itself ends a connection when it stops, and to make room for another one.
func (m *Minogrpc) handshakeFailed(raw net.Conn, err error) {
	conn, _ := raw.(*accepted)

	switch {
	case errors.Is(err, io.EOF) || m.host.Stopping().Err() != nil:
		return
	case conn != nil && (conn.evicted.Load() || !conn.heard.Load()):
		return
	}

	from := raw.RemoteAddr()

	// Who does not believe this node, as it has the certificate of another key, means no
	// harm, tries again and again, and may live at the same host as others.
	failure, ok := errors.AsType[*net.OpError](err)
	if !ok || failure.Op != "remote error" {
		m.rates.handshakeFailed(hostOf(from))
	}

	m.refused(Refusal{Peer: from, Err: status.Error(codes.Unauthenticated, err.Error())})
}

// refused tells the observer and the log, the log not as often as somebody likes. It runs
// in goroutines of gRPC, too, where nobody contains what either does.
func (m *Minogrpc) refused(r Refusal) {
	var logged bool

	r.Peer = ownAddr(r.Peer)
	m.refusalLog.Do(func() { logged = true })

	if logged {
		level := refusals[status.Code(r.Err)]
		_ = contain.Do(func() {
			m.logger.WithLevel(level).Err(r.Err).Stringer("peer", r.Peer).Str("method", r.Method).Msg("refused")
		})
	}

	if m.observer.Refused != nil {
		m.observe(func() { m.observer.Refused(r) })
	}
}

// learned tells the observer and the log about another node.
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
