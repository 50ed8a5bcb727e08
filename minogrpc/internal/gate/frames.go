package gate

// The frames of HTTP/2 that matter, and their flags (RFC 9113).
const (
	frameHeader  = 9 // bytes
	prefaceBytes = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

	dataFrame         = 0x0
	headersFrame      = 0x1
	resetFrame        = 0x3
	settingsFrame     = 0x4
	pingFrame         = 0x6
	continuationFrame = 0x9

	endStream  = 0x1
	endHeaders = 0x4
	padded     = 0x8
	prioritize = 0x20

	priorityBytes = 5
)

// Block is a list of headers on the wire: a HEADERS frame and the CONTINUATION frames after it.
type Block struct {
	// Bytes is the size of its frames, their own headers included. A frame counts in full as soon
	// as it has been announced.
	Bytes int
	// Frames is the number of frames.
	Frames int
	// Fields is the number of fields that have come.
	Fields int
	// Work is what decoding has cost so far, in fields. The first ones are those of any call.
	Work int
	// Last is true once the last frame has been announced, and Ended once all of it is there.
	Last, Ended bool
}

// Weight estimates what the block takes in memory once it is decoded, in bytes: at most 1.6 times
// the bytes of its texts, and for each field its place in the list of the decoder and in the
// metadata, both of which grow by a quarter at a time.
func (b Block) Weight() int {
	return 2*b.Bytes + perField*b.Fields
}

const (
	// perField is what one field takes beside its texts.
	perField = 256

	// copied is how many bytes of an incomplete text the decoder moves in the time of a field.
	copied = 4 << 10
	// decoded is how many bytes of texts it decodes in that time.
	decoded = 16

	// usualFields is how many fields a block has for nothing.
	usualFields = 32

	// What the frames cost that a client has little reason to send, in fields.
	resetWork = 100
	replyWork = 32
	emptyWork = 8
)

// frames reads what a client sends over an HTTP/2 connection, in pieces of any size, and keeps
// account of its blocks of headers. It is for one goroutine.
type frames struct {
	// preface is how many bytes are missing of what a connection begins with.
	preface int

	// head is the header of a frame, of which the first known bytes have come, and left what is
	// missing of the frame behind it.
	head  [frameHeader]byte
	known int
	left  int

	// before and after are the bytes around the fragment of the block in this frame. pads is true
	// where the first byte tells how many come after.
	before, after int
	pads          bool

	block  Block
	fields fields

	// work is what the frames have cost that belong to no block, since somebody took it.
	work int

	// messages keeps account of what the DATA frames bring. opened is true at the beginning of one.
	messages *messages
	opened   bool
}

func newFrames(m *messages) frames {
	return frames{preface: prefaceBytes, messages: m}
}

// read takes what has come next. It calls told whenever there is more of a block of headers, and
// returns its first error.
func (f *frames) read(p []byte, told func(Block) error) error {
	skip := min(len(p), f.preface)
	f.preface -= skip
	p = p[skip:]

	for len(p) > 0 {
		var (
			n   int
			err error
		)

		if f.left == 0 {
			n, err = f.header(p, told)
		} else {
			n, err = f.payload(p, told)
		}

		if err != nil {
			return err
		}

		p = p[n:]
	}

	return nil
}

// header takes bytes of the header of a frame.
func (f *frames) header(p []byte, told func(Block) error) (int, error) {
	n := copy(f.head[f.known:], p)
	f.known += n

	if f.known < frameHeader {
		return n, nil
	}

	f.known = 0
	f.left = payloadOf(f.head)

	if !f.ofBlock() {
		f.work += f.cost()
		f.other()

		return n, nil
	}

	f.announce()

	if f.left == 0 {
		f.endFrame()
	}

	return n, told(f.block)
}

// cost returns what a frame costs that belongs to no block, in fields: a call that is reset, a frame
// that the server answers, and one with nothing in it.
func (f *frames) cost() int {
	switch kind := f.head[3]; {
	case kind == resetFrame:
		return resetWork
	case kind == settingsFrame || kind == pingFrame:
		return replyWork
	case kind == dataFrame && f.left == 0 && f.head[4]&endStream == 0:
		return emptyWork
	default:
		return 0
	}
}

// other takes the header of a frame that belongs to no block.
func (f *frames) other() {
	switch f.head[3] {
	case resetFrame:
		f.messages.end(callOf(f.head))
	case dataFrame:
		f.opened = true
		f.pads, f.before, f.after = f.head[4]&padded != 0, 0, 0

		if f.pads {
			f.before++
		}

		f.endData()
	}
}

// endData ends a call whose last frame has come.
func (f *frames) endData() {
	if f.left == 0 && f.head[3] == dataFrame && f.head[4]&endStream != 0 {
		f.messages.finish(callOf(f.head))
	}
}

// data takes bytes of a DATA frame behind its header.
func (f *frames) data(p []byte) {
	if content := f.content(p); len(content) > 0 {
		f.messages.read(callOf(f.head), content, f.opened)
		f.opened = false
	}

	f.left -= len(p)
	f.endData()
}

// content returns the bytes of a frame that are not around it.
func (f *frames) content(p []byte) []byte {
	if f.pads {
		f.after, f.pads = int(p[0]), false
	}

	skip := min(len(p), f.before)
	f.before -= skip

	content := p[skip:]
	if end := max(f.left-skip-f.after, 0); len(content) > end {
		content = content[:end]
	}

	return content
}

// ofBlock tells whether the frame belongs to a block of headers.
func (f *frames) ofBlock() bool {
	return f.head[3] == headersFrame || f.head[3] == continuationFrame
}

// announce takes a frame of a block into account, of which the header has come.
func (f *frames) announce() {
	flags := f.head[4]
	f.before, f.after, f.pads = 0, 0, false

	if f.head[3] == headersFrame {
		f.messages.begin(callOf(f.head), flags&endStream != 0)

		f.block, f.fields = Block{}, fields{}
		f.pads = flags&padded != 0

		if f.pads {
			f.before++
		}

		if flags&prioritize != 0 {
			f.before += priorityBytes
		}
	}

	f.block.Frames++
	f.block.Bytes += frameHeader + f.left
	f.block.Last = flags&endHeaders != 0
	// The decoder looks at the text that is not complete with each frame.
	f.block.Work += f.fields.partial / copied

	if f.head[3] == continuationFrame {
		f.block.Work++
	}
}

// payload takes bytes of a frame behind its header.
func (f *frames) payload(p []byte, told func(Block) error) (int, error) {
	n := min(len(p), f.left)

	switch {
	case f.head[3] == dataFrame:
		f.data(p[:n])

		return n, nil
	case !f.ofBlock():
		f.left -= n

		return n, nil
	}

	f.fragment(p[:n])

	if f.left == 0 {
		f.endFrame()
	}

	return n, told(f.block)
}

// fragment takes bytes of a frame of a block.
func (f *frames) fragment(p []byte) {
	fields, text := f.fields.count, f.fields.text
	f.fields.read(f.content(p))
	f.left -= len(p)

	f.block.Fields = f.fields.count
	f.block.Work += max(0, f.fields.count-max(fields, usualFields)) + (f.fields.text-text)/decoded
}

func (f *frames) endFrame() {
	f.block.Ended = f.block.Last
}
