package host

import (
	"context"
	"io"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/metadata"
)

// play runs the handler of a stream. Only a [mino.ContextHandler] costs a context, and the goroutine that
// ends it.
func (h *Host) play(st *stream, p *Procedure) error {
	if p.streamer == nil {
		return p.handler.Stream(st, st)
	}

	ctx := mino.WithInfo(context.Background(), st.now)
	ctx, end := context.WithCancelCause(ctx)

	// The session outlives the handler. takePart waits for both.
	go func() {
		<-st.Closed()
		end(h.causeOf(st))
	}()

	return p.streamer.StreamContext(ctx, st, st)
}

// causeOf returns why a session that is closed was closed.
func (h *Host) causeOf(st *stream) error {
	cause := st.Err()

	switch {
	case cause != nil:
		return cause
	case h.life.closing.Err() != nil:
		return leftError{}
	default:
		return io.EOF
	}
}

// infoOf returns what does not change in a stream.
func (h *Host) infoOf(in *incoming, tag string) mino.Info {
	info := mino.Info{Stream: in.key.id, Procedure: in.key.uri, Address: h.me}

	if tag != session.UndefinedProtocol {
		info.Protocol = tag
	}

	if in.orchestrator != nil {
		info.Orchestrator = *in.orchestrator
	}

	return info
}

// now returns what there is to know of the stream at this moment.
func (st *stream) now() mino.Info {
	info := st.info
	info.Parent = session.FollowerOf(st.Parent())
	info.Children = st.Children()

	return info
}

// answer runs the handler of a call.
func (p *Procedure) answer(ctx context.Context, request mino.Request) (serde.Message, error) {
	if p.processor == nil {
		return p.handler.Process(request)
	}

	ctx, end := context.WithCancelCause(mino.WithInfo(ctx, func() mino.Info {
		return mino.Info{Procedure: p.uri, Orchestrator: session.FollowerOf(request.Address), Address: p.host.me}
	}))
	defer end(nil)

	// The server ends what is left of a stop, and does not say why.
	stop := context.AfterFunc(p.host.life.hurried, func() { end(ErrStopped) })
	defer stop()

	return p.processor.ProcessContext(ctx, request)
}

// tagOf returns the tag of a stream that has come.
func tagOf(md metadata.MD) string {
	values := md.Get(session.ProtocolKey)
	if len(values) == 0 {
		return session.UndefinedProtocol
	}

	return values[0]
}

// textOfTag returns the tag of a stream as it travels.
func textOfTag(ctx context.Context) string {
	if tag := mino.ProtocolOf(ctx); tag != "" {
		return tag
	}

	return session.UndefinedProtocol
}
