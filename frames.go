package session

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/metadata"
)

// MaxFrame is the largest size, in bytes, of one frame that a session sends over a duplex link,
// with everything in it. There is one exception: for a neighbour of an older version a session does
// not split the destinations of a packet, so a packet whose destinations take more than MaxFrame
// makes a larger frame. Because of that exception, a stream must take a message of MaxFrame plus the
// largest metadata; see [WithMaxMetadata]. MaxFrame is 256 KiB.
//
// The 4 MiB of gRPC suffice only for small trees. Give a server grpc.MaxRecvMsgSize(MaxFrame +
// DefaultMaxMetadata), and its clients the same with grpc.MaxCallRecvMsgSize, through
// [WithDialOptions]: a [ConnManager] sets neither. If packets also go in calls, in a text format,
// they may have DefaultMaxMessage*4/3 + DefaultMaxMetadata bytes.
const MaxFrame = offer.MaxFrame

// capabilities are the names of what a link can do if both ends can. They travel with the offer and
// the acceptance of a link, and docs/wire.md says what each of them means.
var capabilities = []string{link.CanCut, link.Paced, link.CanNews, link.CanEarly}

// framing knows how packets travel: in which format, and in frames of which size. It does not
// change, and needs no lock.
type framing struct {
	ctx serde.Context
	fac router.PacketFactory
	// formats are the binary formats of the packets of fac.
	formats []string
	// session is the text of the identity of the session.
	session                 string
	maxMessage, maxMetadata int
}

// newFraming asks the factory for its formats. It fails when the factory panics.
func newFraming(c *config, fac router.PacketFactory, ctx serde.Context, origin []byte) (framing, error) {
	formats, err := formatsOf(fac)

	return framing{
		ctx:         ctx,
		fac:         fac,
		formats:     formats,
		session:     hex.EncodeToString(origin),
		maxMessage:  c.maxMessage,
		maxMetadata: c.maxMetadata,
	}, err
}

// formatsOf returns the binary formats of the packets of a factory. It fails when the factory
// panics.
func formatsOf(fac router.PacketFactory) ([]string, error) {
	binary, ok := fac.(router.BinaryPacketFactory)
	if !ok {
		return nil, nil
	}

	return contain.Call(func() ([]string, error) { return []string{binary.BinaryFormat()}, nil })
}

// decode returns the packet that has arrived, and its destinations.
func (f *framing) decode(in arrival) (packet router.Packet, to recipients, err error) {
	defer contain.Recover(&err)

	packet, err = f.packetOf(in)

	switch {
	case err != nil:
	case packet == nil:
		err = errNothing
	default:
		to, err = destinationsOf(packet)
	}

	return packet, to, err
}

// errNothing is the error of a factory that returns no packet.
var errNothing = errors.New("no packet")

// packetOf decodes a packet. A packet with a header of its own is in the binary format of the
// link.
func (f *framing) packetOf(in arrival) (router.Packet, error) {
	if in.err != nil {
		return nil, in.err
	}

	if len(in.header) == 0 {
		return f.fac.PacketOf(f.ctx, in.body)
	}

	binary, ok := f.fac.(router.BinaryPacketFactory)
	if !ok {
		return nil, errors.New("no binary format has been agreed on")
	}

	return binary.PacketOfHeader(in.header, in.body)
}

// dialled returns what a link needs to exchange frames with a neighbour that this node has
// dialled.
func (f *framing) dialled(o *linkOpener, wire *wireStream, accepted *offer.Acceptance) link.Frames {
	frames := f.frames(accepted.Frame, accepted.Format, accepted.Can)
	frames.Stream = wire
	frames.Redial = o.again
	frames.Wait = accepted.Wait

	return frames
}

// relayed returns the same for a relay. If the neighbour has dialled this node, the relay also
// gets the header that accepts the link, and says how long this node waits after a break, and which
// registration this is.
func (f *framing) relayed(r *DuplexRelay, wait time.Duration, tenure uint64) link.Frames {
	if r.opener != nil {
		return f.dialled(r.opener, r.wire, r.accepted)
	}

	format := r.offer.Choose(f.formats)
	accepted := f.acceptance(r, format, 0, wait)
	accepted.Tenure = tenure
	r.header = metadata.Pairs(LinkKey, accepted.Value())

	frames := f.frames(r.offer.Frame, format, r.offer.Common(capabilities))
	frames.Stream = r.wire

	return frames
}

// binds tells whether this node would agree to exactly what the opener takes for agreed. The opener
// already writes frames in that way.
func (f *framing) binds(o offer.Offer) bool {
	format := o.Choose(f.formats)
	formats := len(o.Formats) == 0 || len(o.Formats) == 1 && o.Formats[0] == format

	return formats && len(o.Common(capabilities)) == len(o.Can)
}

// acceptance accepts what the opener of a relay has offered.
func (f *framing) acceptance(r *DuplexRelay, format string, received uint64, wait time.Duration) offer.Acceptance {
	return offer.Acceptance{
		Received: received,
		Frame:    r.offer.Frame,
		Format:   format,
		Session:  f.session,
		Can:      r.offer.Common(capabilities),
		Wait:     wait,
	}
}

// frames returns what a link over frames of that size needs, but for its streams.
func (f *framing) frames(size int, format string, can []string) link.Frames {
	return link.Frames{
		Can:      can,
		MaxFrame: size,
		MaxBody:  f.maxBody(),

		MaxHeader: f.maxMetadata,

		Text:   format == "",
		Encode: f.encoder(format != "" && slices.Contains(f.formats, format)),
	}
}

// encoder returns the function that writes packets for a link.
func (f *framing) encoder(binary bool) func(*link.Parcel, *ptypes.Parcel) error {
	return func(p *link.Parcel, wire *ptypes.Parcel) (err error) {
		split, ok := p.Packet.(router.BinaryPacket)
		if ok && binary {
			wire.Header, err = split.AppendHeader(wire.GetHeader())
			wire.Body = split.GetMessage()
		} else {
			wire.Body, err = p.Packet.Serialize(f.ctx)
		}

		switch {
		case err != nil:
			return fmt.Errorf("%w: failed to serialize: %w", link.ErrPacket, err)
		case len(wire.GetHeader()) > f.maxMetadata:
			return fmt.Errorf("%w: destinations of %d bytes are more than %d", link.ErrPacket,
				len(wire.GetHeader()), f.maxMetadata)
		default:
			return nil
		}
	}
}

// maxBody returns the largest packet that may come in chunks. A packet in a format of text is
// larger than its message.
func (f *framing) maxBody() int {
	// A huge limit must not overflow, least of all an int of 32 bits.
	message := min(f.maxMessage, (math.MaxInt-f.maxMetadata)/3*2)

	return message/2*3 + f.maxMetadata
}
