// Package offer parses and prints the values of the session-link header by which two nodes
// agree on a duplex link: the opener of a stream makes an offer in its metadata, and the
// callee accepts it in its response header.
//
// The values come from the network. Whatever they hold, to parse one takes time and memory
// linear in its length, and a result that is true is within the limits stated here.
package offer

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxFrame is the largest frame that either end writes, in bytes.
	MaxFrame = 256 << 10

	// MinFrame is the smallest bound for a frame that either end may ask for, in bytes.
	MinFrame = 4 << 10

	// MaxWait is the longest wait that a callee may state.
	MaxWait = 24 * time.Hour

	// idSize is the number of random bytes in the id of a link. Whoever knows the id can
	// take the place of the neighbour.
	idSize = 16
)

// Offer is what the opener of a stream says about a duplex link.
type Offer struct {
	// ID is the same for all the streams of a link: hexadecimal digits for 16 bytes.
	ID string
	// Epoch counts the streams of the link from 1.
	Epoch uint64
	// Received is the number of the last frame that has come over earlier streams.
	Received uint64
	// Frame is the largest frame that the opener writes, in bytes.
	Frame int
	// Formats are the names of the binary packet formats that the opener understands.
	Formats []string
	// Can are the names of what the opener can do beside what every node with such links can.
	Can []string
	// Early is set when frames may follow before the callee has accepted. The other fields then have
	// exactly what has been agreed on before, at most one format among them: the callee accepts that or
	// refuses the stream.
	Early bool
}

// NewID returns the id for a new link.
func NewID() string {
	var id [idSize]byte

	// It never fails.
	_, _ = rand.Read(id[:])

	return hex.EncodeToString(id[:])
}

// Parse finds the offer among the values of the header. It returns false when there is
// none, or none that this node understands.
func Parse(values []string) (o Offer, ok bool) {
	f, ok := parse(values)
	if !ok {
		return Offer{}, false
	}

	o = Offer{
		ID:       f.get(fieldID),
		Epoch:    f.number(fieldEpoch),
		Received: f.number(fieldReceived),
		Frame:    f.frame(),
		Formats:  f.list(fieldFormat),
		Can:      f.list(fieldCan),
		Early:    f.get(fieldEarly) == yes,
	}

	if !isID(o.ID) || o.Epoch == 0 || o.Frame < MinFrame {
		return Offer{}, false
	}

	return o, true
}

// isID tells whether a text has the form of an id.
func isID(text string) bool {
	var id [idSize]byte

	if len(text) != hex.EncodedLen(idSize) {
		return false
	}

	_, err := hex.Decode(id[:], []byte(text))

	return err == nil
}

// Value returns the offer as it travels.
func (o Offer) Value() string {
	return fields{
		{fieldID, o.ID},
		{fieldEpoch, strconv.FormatUint(o.Epoch, 10)},
		{fieldReceived, strconv.FormatUint(o.Received, 10)},
		{fieldFrame, strconv.Itoa(o.Frame)},
		{fieldFormat, strings.Join(o.Formats, "+")},
		{fieldCan, strings.Join(o.Can, "+")},
		{fieldEarly, o.early()},
	}.value()
}

// early prints whether frames may follow at once, or nothing.
func (o Offer) early() string {
	if o.Early {
		return yes
	}

	return ""
}

// Common returns those of this node's capabilities that the opener has, too.
func (o Offer) Common(own []string) []string {
	both := make([]string, 0, len(own))

	for _, name := range own {
		if slices.Contains(o.Can, name) {
			both = append(both, name)
		}
	}

	return both
}

// Choose returns the first of this node's formats that the opener understands too, or an
// empty text when there is none.
func (o Offer) Choose(formats []string) string {
	i := slices.IndexFunc(formats, func(format string) bool { return slices.Contains(o.Formats, format) })
	if i < 0 {
		return ""
	}

	return formats[i]
}

// Acceptance is the answer to an offer.
type Acceptance struct {
	// Received is the number of the last frame that the callee has received.
	Received uint64
	// Frame is the largest frame that the callee writes, in bytes.
	Frame int
	// Format is the binary packet format of the link, or empty for none.
	Format string
	// Session identifies the session that has answered. It is not empty.
	Session string
	// Can are the names of what both ends can do.
	Can []string
	// Wait is how long the callee waits for another stream after a break, or 0 if it does not
	// say. It travels in milliseconds, and is at most [MaxWait].
	Wait time.Duration
	// Tenure is a number that is larger than that of each earlier parent of the callee, or 0 if the
	// callee does not say one.
	Tenure uint64
}

// ParseAcceptance finds the answer to an offer among the values of the header. It returns
// false when there is none: the callee does not know what was offered.
func ParseAcceptance(values []string) (a Acceptance, ok bool) {
	f, ok := parse(values)
	if !ok {
		return Acceptance{}, false
	}

	a = Acceptance{
		Received: f.number(fieldReceived),
		Frame:    f.frame(),
		Format:   f.get(fieldFormat),
		Session:  f.get(fieldSession),
		Can:      f.list(fieldCan),
		Wait:     time.Duration(min(f.number(fieldWait), uint64(MaxWait.Milliseconds()))) * time.Millisecond,
		Tenure:   f.number(fieldTenure),
	}

	if a.Frame < MinFrame || a.Session == "" {
		return Acceptance{}, false
	}

	return a, true
}

// Value returns the acceptance as it travels.
func (a Acceptance) Value() string {
	return fields{
		{fieldReceived, strconv.FormatUint(a.Received, 10)},
		{fieldFrame, strconv.Itoa(a.Frame)},
		{fieldFormat, a.Format},
		{fieldSession, a.Session},
		{fieldCan, strings.Join(a.Can, "+")},
		{fieldWait, a.wait()},
		{fieldTenure, a.tenure()},
	}.value()
}

// tenure prints the tenure, or nothing if there is none.
func (a Acceptance) tenure() string {
	if a.Tenure == 0 {
		return ""
	}

	return strconv.FormatUint(a.Tenure, 10)
}

// wait prints the wait. A callee that does not say how long it waits prints nothing.
func (a Acceptance) wait() string {
	if a.Wait <= 0 {
		return ""
	}

	return strconv.FormatInt(min(a.Wait, MaxWait).Milliseconds(), 10)
}
