package host

import (
	"context"
	"fmt"
	"regexp"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// uriSeparator stands between the segments and the name of a procedure.
const uriSeparator = "/"

// namePattern is what segments and the names of procedures look like.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9]+$`)

// Path is where procedures are: the segments in front of their names. The zero Path has none.
type Path struct {
	prefix string
	bad    bool
}

// With returns the path with one more segment, which is one or more letters and digits of ASCII.
// Register returns an error for a path with any other.
func (p Path) With(segment string) Path {
	return Path{
		prefix: p.prefix + segment + uriSeparator,
		bad:    p.bad || !namePattern.MatchString(segment),
	}
}

// Procedure is a procedure of a host. Its Stream is that of [mino.RPC].
type Procedure struct {
	host    *Host
	uri     string
	handler mino.Handler
	factory serde.Factory

	// processor and streamer are the handler if that takes a context, or nil.
	processor contextProcessor
	streamer  contextStreamer
}

// contextProcessor and contextStreamer are the halves of a [mino.ContextHandler]. Somebody who needs one of
// them easily forgets the other, and would not notice that the first is never called.
type (
	contextProcessor interface {
		ProcessContext(ctx context.Context, req mino.Request) (serde.Message, error)
	}
	contextStreamer interface {
		StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error
	}
)

// Register adds a procedure with its handler, and returns it. The factory makes the messages of
// both directions. A name is one or more letters and digits of ASCII. Register returns an error
// for any other, when the name is taken, and when the handler or the factory is nil.
//
// The host calls the methods of a [mino.ContextHandler] instead of those of a [mino.Handler], also where the
// handler has only one of them.
func (h *Host) Register(path Path, name string, handler mino.Handler, factory serde.Factory) (*Procedure, error) {
	switch {
	case path.bad:
		return nil, fmt.Errorf("invalid segment in %q", path.prefix)
	case !namePattern.MatchString(name):
		return nil, fmt.Errorf("invalid name %q of a procedure: it is one or more ASCII letters and digits", name)
	case handler == nil || factory == nil:
		return nil, fmt.Errorf("procedure %q needs a handler and a factory", name)
	}

	p := &Procedure{host: h, uri: path.prefix + name, handler: handler, factory: factory}
	p.processor, _ = handler.(contextProcessor)
	p.streamer, _ = handler.(contextStreamer)

	h.mu.Lock()
	defer h.mu.Unlock()

	if h.procedures[p.uri] != nil {
		return nil, fmt.Errorf("procedure %q is already registered", p.uri)
	}

	h.procedures[p.uri] = p

	return p, nil
}

// Lookup returns the procedure that the metadata of an incoming call name. The error has the
// status InvalidArgument or Unimplemented.
func (h *Host) Lookup(ctx context.Context) (*Procedure, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	return h.lookup(md)
}

// lookup is Lookup for metadata that have been read. To read them copies them all.
func (h *Host) lookup(md metadata.MD) (*Procedure, error) {
	uri, err := single(md, session.URIKey)
	if err != nil {
		return nil, err
	}

	h.mu.RLock()
	defer h.mu.RUnlock()

	p := h.procedures[uri]
	if p == nil {
		return nil, status.Errorf(codes.Unimplemented, "unknown procedure %q", uri)
	}

	return p, nil
}

// URI returns the segments and the name of the procedure, with a slash between them.
func (p *Procedure) URI() string {
	return p.uri
}

// Encode returns the payload of a message, as the host serializes all messages. A panic of the message is an
// error.
func (p *Procedure) Encode(msg serde.Message) ([]byte, error) {
	return contain.Call(func() ([]byte, error) { return msg.Serialize(p.host.context) })
}

// Decode returns the message of a payload. A panic of the factory is an error.
func (p *Procedure) Decode(payload []byte) (serde.Message, error) {
	return contain.Call(func() (serde.Message, error) {
		return p.factory.Deserialize(p.host.context, payload)
	})
}

// Process answers a question of another node: it decodes the payload, runs the handler, and returns
// the payload of the answer, which is empty for a nil message. A stop of the host waits for the
// handler, and names it.
//
// The context is that of the call: it has the deadline of the caller, and is done when the caller has gone.
// Only a [mino.ContextHandler] gets it, and [mino.InfoOf] what there is to know. Then the context is also
// done, with the cause [ErrStopped], when a stop does not wait any longer.
//
// The error has a status: InvalidArgument for a payload that cannot be decoded, Unknown with the
// text of the handler's error, Internal for an answer that cannot be serialized and for a panic,
// and Unavailable once a stop has begun.
func (p *Procedure) Process(ctx context.Context, from mino.Address, payload []byte) (answer []byte, err error) {
	r := p.host.tasks.begin(Task{Name: taskCall, Procedure: p.uri})
	if r == nil {
		return nil, errUnavailable
	}

	defer r.end()

	err = statusOf(p.host.observed(p.info(), func() (err error) {
		answer, err = p.process(ctx, from, payload)

		return err
	}))

	return answer, err
}

// info says which procedure it is, outside of a stream.
func (p *Procedure) info() session.StreamInfo {
	return session.StreamInfo{Node: p.host.me, Procedure: p.uri}
}

func (p *Procedure) process(ctx context.Context, from mino.Address, payload []byte) ([]byte, error) {
	question, err := p.factory.Deserialize(p.host.context, payload)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "message: %v", err)
	}

	answer, err := p.answer(ctx, mino.Request{Address: from, Message: question})

	switch {
	case err != nil:
		return nil, said(codes.Unknown, err)
	case answer == nil:
		return nil, nil
	}

	data, err := p.Encode(answer)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "serialize message: %v", err)
	}

	return data, nil
}
