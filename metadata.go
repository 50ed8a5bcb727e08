package session

import (
	"slices"

	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/mino"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/metadata"
)

// The metadata keys that all nodes know, besides [HandshakeKey]. docs/wire.md says which call has
// which.
const (
	// URIKey names the procedure: the segments and the name, with a slash between them.
	URIKey = "apiuri"

	// StreamIDKey is the id of the stream. It is the same at all nodes, and never empty.
	StreamIDKey = "streamid"

	// GatewayKey is the text of the address of the node that makes the call, as a follower.
	GatewayKey = "gateway"

	// PlayerKey has one value for each player but the root: the text of the player's address. Only
	// an orchestrator sends it.
	PlayerKey = "addr"

	// ProtocolKey is a tag for tracing, or [UndefinedProtocol].
	ProtocolKey = "protocol"
)

// UndefinedProtocol is the tag of a stream that has none.
const UndefinedProtocol = "__UNDEFINED_PROTOCOL__"

// Offer is what the opener of a stream says about its link. An existing node sends no offer.
type Offer struct {
	// Duplex is set if the opener offers a duplex link that this version understands:
	// [AcceptRelay] then returns a relay.
	Duplex bool

	// Resumes is set if the stream resumes a link that has broken. The node must not begin a
	// session or a handler for such a stream.
	Resumes bool

	// Early is set if frames follow the offer before it is accepted. A node that does not accept it must
	// refuse the stream, and say so with [LinkRefused]: it must not take the opener for a parent that
	// makes calls.
	Early bool

	// Goodbye and Root are what a parent says about itself: see [WithGoodbye] and [WithRoot].
	Goodbye, Root bool

	// News is set if the parent takes news of players in calls: see [LinkNews].
	News bool
}

// ReadOffer reads what the opener of a stream offers. It never fails: it ignores what it does not
// understand.
func ReadOffer(md metadata.MD) Offer {
	values := md.Get(LinkKey)
	link, ok := offer.Parse(values)

	return Offer{
		Duplex:  ok,
		Resumes: ok && link.Epoch > 1,
		Early:   ok && link.Early,
		Goodbye: slices.Contains(values, LinkGoodbye),
		Root:    slices.Contains(values, LinkRoot),
		News:    slices.Contains(values, LinkNews),
	}
}

// RelayOptions returns the options to give to [NewRelay] for a parent that has made the offer.
func (o Offer) RelayOptions() []RelayOption {
	var opts []RelayOption

	if o.Goodbye {
		opts = append(opts, WithGoodbye())
	}

	if o.Root {
		opts = append(opts, WithRoot())
	}

	if o.News {
		opts = append(opts, withNews())
	}

	return opts
}

// StreamInfo says which stream of which node something is about.
type StreamInfo struct {
	// Node is the node of the session. At an orchestrator it has that role.
	Node mino.Address

	// Procedure is the URI of the procedure, Stream the id of the stream, and Protocol its tag, which
	// is empty if it has none.
	Procedure, Stream, Protocol string
}

// ReadStreamInfo returns which stream the metadata of a stream or of a call are about. In those that another
// node has sent, the texts are of that node.
func ReadStreamInfo(md metadata.MD, node mino.Address) StreamInfo {
	info := StreamInfo{
		Node: node, Procedure: first(md, URIKey), Stream: first(md, StreamIDKey), Protocol: first(md, ProtocolKey),
	}
	if info.Protocol == UndefinedProtocol {
		info.Protocol = ""
	}

	return info
}

// Logger returns the logger with what each line about the stream says: the fields node, rpc, stream and
// protocol. It leaves out what is empty.
func (i *StreamInfo) Logger(logger zerolog.Logger) zerolog.Logger {
	if logger.GetLevel() == zerolog.Disabled {
		return logger // It costs memory for each session.
	}

	fields := logger.With()
	if i.Node != nil {
		fields = fields.Stringer("node", printed{i.Node})
	}

	if i.Procedure != "" {
		fields = fields.Str("rpc", i.Procedure)
	}

	if i.Stream != "" {
		fields = fields.Str("stream", i.Stream)
	}

	if i.Protocol != "" {
		fields = fields.Str("protocol", i.Protocol)
	}

	return fields.Logger()
}

// first returns the first value of a key, or nothing.
func first(md metadata.MD, key string) string {
	values := md.Get(key)
	if len(values) == 0 {
		return ""
	}

	return values[0]
}
