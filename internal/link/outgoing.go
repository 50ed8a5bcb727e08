package link

import (
	"github.com/minogrpc/session/ptypes"
)

// outgoing is what a duplex link writes. It belongs to the lock of the link.
type outgoing struct {
	// order holds what has not been written.
	order order
	// transfer is the large message that is being written, or nil.
	transfer *transfer
	chunks   uint64
	// unsettled counts the parcels that the neighbour has not answered, also those
	// that nobody waits for any more: they count there, too.
	unsettled int

	// receipts and delivered are the outcomes that have not been written, and owed
	// what counts for their bound.
	receipts  []*ptypes.Receipt
	delivered []uint64
	owed      int

	// writing is set while somebody has the turn to write. Most of the time that is a
	// goroutine of the link, which rests in between, until there is more. It retires
	// when there has been nothing but heartbeats for a while.
	writing, resting, retire bool
	more                     chan struct{}
	// beat asks for a frame even if there is no content.
	beat bool
	// farewell asks for the last frame, left is set when that is on its way, and said is
	// closed when it is written.
	farewell, left bool
	said           chan struct{}
	// shut tells whether the neighbour ends the stream after that.
	shut bool

	// spare is memory for the parcels of the next frame. It belongs to who has the turn.
	spare []*Parcel

	// last is the number of the last frame. unread holds those that the neighbour is
	// not known to have received, and resend is the place of the next to write.
	last        uint64
	unread      fifo[numbered]
	unreadBytes int
	resend      int
}

// numbered is a frame with content.
type numbered struct {
	frame *ptypes.Packet
	size  int
	// parcels are those in it that the owner has not been told about.
	parcels []*Parcel
}

// confirmLocked forgets the frames up to the one that the neighbour has received.
func (d *duplex) confirmLocked(received uint64) error {
	if received > d.last || received+uint64(d.unread.len()) < d.last {
		return errProtocol
	}

	for d.confirmedLocked() < received {
		d.unreadBytes -= d.unread.pop().size
		d.resend--
	}

	d.resend = max(d.resend, 0)

	return nil
}

// confirmedLocked returns the number of the last frame that the neighbour is known to
// have received.
func (d *duplex) confirmedLocked() uint64 {
	return d.last - uint64(d.unread.len())
}
