package gate

import "math"

// fields counts the fields of a block of headers as RFC 7541 encodes them, and decodes none. The
// block may come in pieces of any size. What is malformed it counts somehow: the decoder of the
// server refuses that.
type fields struct {
	// count is the number of fields that have begun, text the bytes of the texts that they bring
	// along, and partial those of the text that has not quite come.
	count, text, partial int

	step step
	// names is true where the text that comes next is a name, which a value follows.
	names bool
	// number is the integer that is being read, and shift where its next 7 bits go.
	number uint64
	shift  uint
	// literal is true where a text follows the integer.
	literal bool
}

// step is what the next byte of a block is.
type step int

const (
	atField    step = iota // the first byte of a field
	inIndex                // a further byte of the integer that a field begins with
	atText                 // the first byte of the length of a text
	inLength               // a further byte of that length
	insideText             // a byte of a text
)

// read takes the next piece of a block.
func (f *fields) read(p []byte) {
	for len(p) > 0 {
		if f.step == insideText {
			n := int(min(uint64(len(p)), f.number))
			f.number -= uint64(n)
			f.partial += n
			p = p[n:]

			f.endText()

			continue
		}

		f.byte(p[0])
		p = p[1:]
	}
}

// byte takes a byte that belongs to no text.
func (f *fields) byte(b byte) {
	switch f.step {
	case atField:
		f.field(b)
	case atText:
		f.begin(b, 7, inLength)
	case inIndex, inLength, insideText:
		if f.shift < 63 {
			f.number += uint64(b&0x7f) << f.shift
			f.shift += 7
		} else {
			f.number = math.MaxInt64
		}

		if b < 0x80 {
			f.endNumber()
		}
	}
}

// field takes the first byte of a field, whose highest bits say what it is.
func (f *fields) field(b byte) {
	f.literal = false

	switch {
	case b >= 0x80: // an index for all of it
		f.count++
		f.begin(b, 7, inIndex)
	case b >= 0x40: // a literal, which gets an index
		f.count++
		f.literal = true
		f.begin(b, 6, inIndex)
	case b >= 0x20: // the size of the table of indexes
		f.begin(b, 5, inIndex)
	default: // a literal
		f.count++
		f.literal = true
		f.begin(b, 4, inIndex)
	}
}

// begin takes the first byte of an integer, of which it has that many bits.
func (f *fields) begin(b byte, bits uint, more step) {
	highest := byte(1)<<bits - 1
	f.number, f.shift, f.step = uint64(b&highest), 0, more

	if b&highest < highest {
		f.endNumber()
	}
}

// endNumber goes on after an integer.
func (f *fields) endNumber() {
	switch {
	case f.step == inLength:
		f.partial, f.step = 0, insideText
		f.endText()
	case f.literal:
		f.names, f.step = f.number == 0, atText
	default:
		f.step = atField
	}
}

// endText goes on after a text, if that is complete.
func (f *fields) endText() {
	switch {
	case f.number > 0:
		return
	case f.names:
		f.names, f.step = false, atText
	default:
		f.step = atField
	}

	f.text += f.partial
	f.partial = 0
}
