package session

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/metadata"
)

// MaxFrame is what a session puts into one frame of a duplex link, in bytes, receipts
// included. Only a packet whose destinations take more than that makes a larger one: they
// are not cut. So a stream must take a message of that size and of the largest metadata;
// see [WithMaxMetadata]. It is 256 KiB.
//
// The 4 MiB of gRPC are enough for small trees alone. A server is given
// grpc.MaxRecvMsgSize(MaxFrame + DefaultMaxMetadata), and its clients the same with
// grpc.MaxCallRecvMsgSize, through [WithDialOptions]: a [ConnManager] sets neither.
// Where packets also go in calls, in a format of text, they may have
// DefaultMaxMessage*4/3 + DefaultMaxMetadata.
const MaxFrame = offer.MaxFrame

// dialledFrames returns what a link needs to exchange frames with a neighbour that
// this node has dialled.
func (s *session) dialledFrames(o *linkOpener, wire *wireStream, accepted *offer.Acceptance) link.Frames {
	frames := s.framesOf(accepted.Frame, accepted.Format)
	frames.Stream = wire
	frames.Redial = o.again

	return frames
}

// relayFrames does the same for a relay. Where the neighbour has dialled this node, the
// relay also gets the header that accepts the link.
func (s *session) relayFrames(r *DuplexRelay) link.Frames {
	if r.opener != nil {
		return s.dialledFrames(r.opener, r.wire, r.accepted)
	}

	format := r.offer.Choose(s.formats)
	r.header = s.acceptanceOf(r, format, 0)

	frames := s.framesOf(r.offer.Frame, format)
	frames.Stream = r.wire

	return frames
}

// acceptanceOf returns the header that accepts what the opener of a relay has offered.
func (s *session) acceptanceOf(r *DuplexRelay, format string, received uint64) metadata.MD {
	accepted := offer.Acceptance{
		Received: received,
		Frame:    r.offer.Frame,
		Format:   format,
		Session:  hex.EncodeToString(s.origin[:]),
	}

	return metadata.Pairs(LinkKey, accepted.Value())
}

// encoderOf returns how packets travel over a link.
func (s *session) encoderOf(binary bool) func(*link.Parcel, *ptypes.Parcel) error {
	return func(p *link.Parcel, wire *ptypes.Parcel) (err error) {
		split, ok := p.Packet.(router.BinaryPacket)
		if ok && binary {
			wire.Header, err = split.AppendHeader(make([]byte, 0, headerSize(p)))
			wire.Body = split.GetMessage()
		} else {
			wire.Body, err = p.Packet.Serialize(s.ctx)
		}

		switch {
		case err != nil:
			return fmt.Errorf("%w: failed to serialize: %w", link.ErrPacket, err)
		case len(wire.GetHeader()) > s.maxMetadata:
			return fmt.Errorf("%w: destinations of %d bytes are more than %d", link.ErrPacket,
				len(wire.GetHeader()), s.maxMetadata)
		default:
			return nil
		}
	}
}

// headerSize estimates the size of the header of a packet: its addresses, a few bytes
// for each of them, and the source.
func headerSize(p *link.Parcel) int {
	size := 64
	for _, key := range p.Keys {
		size += len(key) + 2
	}

	return size
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

// framesOf returns what a link over frames of that size needs beside its streams.
func (s *session) framesOf(size int, format string) link.Frames {
	return link.Frames{
		MaxFrame: size,
		MaxBody:  s.maxBody(),
		Text:     format == "",
		Encode:   s.encoderOf(format != "" && slices.Contains(s.formats, format)),
	}
}

// maxBody returns the largest packet that may come in chunks. One in a format of text
// is larger than its message.
func (s *session) maxBody() int {
	// Limits that are none to speak of must not overflow, least of all on 32 bits.
	message := min(s.maxMessage, (math.MaxInt-s.maxMetadata)/3*2)

	return message/2*3 + s.maxMetadata
}
