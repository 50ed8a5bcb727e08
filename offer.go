package session

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/metadata"
)

// duplexVersion begins the value of [LinkKey] that offers a duplex link, or accepts
// one.
const duplexVersion = "duplex-1"

// The fields of that value.
const (
	fieldID       = "id"
	fieldEpoch    = "epoch"
	fieldReceived = "received"
	fieldFrame    = "frame"
	fieldFormat   = "format"
	fieldSession  = "session"
)

// MaxFrame is what a session puts into one frame of a duplex link, in bytes, receipts
// included. Only a packet whose destinations take more than that makes a larger one: they
// are not cut. So a stream must take a message of that size and of the largest metadata;
// see [WithMaxMetadata].
//
// The 4 MiB of gRPC are enough for small trees alone. A server is given
// grpc.MaxRecvMsgSize(MaxFrame + DefaultMaxMetadata), and its clients the same with
// grpc.MaxCallRecvMsgSize, through [WithDialOptions]: a [ConnManager] sets neither.
// Where packets also go in calls, in a format of text, they may have
// DefaultMaxMessage*4/3 + DefaultMaxMetadata.
const MaxFrame = 256 << 10

const (
	// minFrame is the least that a session is asked to keep to.
	minFrame = 4 << 10

	// linkIDSize is the number of random bytes in the id of a link. Who knows it can
	// take the place of the neighbour.
	linkIDSize = 16
)

// offer is what the opener of a stream says about a duplex link.
type offer struct {
	// id is the same for all the streams of a link, and epoch counts them from 1.
	id    string
	epoch uint64
	// received is the number of the last frame that has come, over earlier streams.
	received uint64
	// frame is the largest frame that the opener writes, in bytes.
	frame int
	// formats are the names of the binary formats of packets that it understands.
	formats []string
}

// acceptance is the answer to an offer.
type acceptance struct {
	received uint64
	frame    int
	// format is the binary format of the link, empty for none.
	format string
	// session identifies the session that has answered.
	session string
}

// metadata returns the offer as it travels.
func (o offer) metadata() metadata.MD {
	value := fields{
		{fieldID, o.id},
		{fieldEpoch, strconv.FormatUint(o.epoch, 10)},
		{fieldReceived, strconv.FormatUint(o.received, 10)},
		{fieldFrame, strconv.Itoa(o.frame)},
		{fieldFormat, strings.Join(o.formats, "+")},
	}

	return metadata.Pairs(LinkKey, value.String())
}

// readOffer finds an offer that is understood here.
func readOffer(md metadata.MD) (o offer, ok bool) {
	f, ok := readFields(md)
	if !ok {
		return offer{}, false
	}

	o.id = f.get(fieldID)
	o.epoch = f.number(fieldEpoch)
	o.received = f.number(fieldReceived)
	o.frame = int(min(f.number(fieldFrame), MaxFrame))

	if formats := f.get(fieldFormat); formats != "" {
		o.formats = strings.Split(formats, "+")
	}

	id, err := hex.DecodeString(o.id)

	return o, err == nil && len(id) == linkIDSize && o.epoch > 0 && o.frame >= minFrame
}

// metadata returns the acceptance as it travels.
func (a acceptance) metadata() metadata.MD {
	value := fields{
		{fieldReceived, strconv.FormatUint(a.received, 10)},
		{fieldFrame, strconv.Itoa(a.frame)},
		{fieldFormat, a.format},
		{fieldSession, a.session},
	}

	return metadata.Pairs(LinkKey, value.String())
}

// readAcceptance finds the answer to an offer. There is none from a node that does
// not know what was offered.
func readAcceptance(md metadata.MD) (a acceptance, ok bool) {
	f, ok := readFields(md)
	if !ok {
		return acceptance{}, false
	}

	a.received = f.number(fieldReceived)
	a.frame = int(min(f.number(fieldFrame), MaxFrame))
	a.format = f.get(fieldFormat)
	a.session = f.get(fieldSession)

	return a, a.frame >= minFrame && a.session != ""
}

// fields are the parts of a value of [LinkKey].
type fields [][2]string

// String writes the value. Empty fields are left out.
func (f fields) String() string {
	parts := []string{duplexVersion}

	for _, field := range f {
		if field[1] != "" {
			parts = append(parts, field[0]+"="+field[1])
		}
	}

	return strings.Join(parts, ";")
}

// readFields reads the value for a duplex link among those of [LinkKey]. What is not
// known in it does not matter.
func readFields(md metadata.MD) (fields, bool) {
	for _, value := range md.Get(LinkKey) {
		parts := strings.Split(value, ";")
		if parts[0] != duplexVersion {
			continue
		}

		f := make(fields, 0, len(parts)-1)

		for _, part := range parts[1:] {
			name, text, _ := strings.Cut(part, "=")
			f = append(f, [2]string{name, text})
		}

		return f, true
	}

	return nil, false
}

func (f fields) get(name string) string {
	i := slices.IndexFunc(f, func(field [2]string) bool { return field[0] == name })
	if i < 0 {
		return ""
	}

	return f[i][1]
}

// number returns the value of a field, or 0 when it is no number.
func (f fields) number(name string) uint64 {
	n, err := strconv.ParseUint(f.get(name), 10, 64)
	if err != nil {
		return 0
	}

	return n
}

// formatsOf returns the binary formats of the packets of a factory.
func formatsOf(fac router.PacketFactory) []string {
	binary, ok := fac.(router.BinaryPacketFactory)
	if !ok {
		return nil
	}

	return []string{binary.BinaryFormat()}
}

// chosenFormat returns the format that both ends have, or none.
func chosenFormat(fac router.PacketFactory, offered []string) string {
	for _, format := range formatsOf(fac) {
		if slices.Contains(offered, format) {
			return format
		}
	}

	return ""
}

// frames returns what a link over frames of that size needs beside its streams.
func (s *session) framesOf(size int, format string) link.Frames {
	return link.Frames{
		MaxFrame: size,
		MaxBody:  s.maxBody(),
		Text:     format == "",
		Encode:   s.encoderOf(format != "" && slices.Contains(formatsOf(s.pktFac), format)),
	}
}

// maxBody returns the largest packet that may come in chunks. One in a format of text
// is larger than its message.
func (s *session) maxBody() int {
	// Limits that are none to speak of must not overflow, least of all on 32 bits.
	message := min(s.maxMessage, (math.MaxInt-s.maxMetadata)/3*2)

	return message/2*3 + s.maxMetadata
}
