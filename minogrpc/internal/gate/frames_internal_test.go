package gate

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// sent is what a client sends, and what the reader has to find in it.
type sent struct {
	bytes.Buffer

	framer *http2.Framer
	blocks []Block
}

func newSent() *sent {
	s := &sent{}
	s.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	s.framer = http2.NewFramer(s, nil)
	_ = s.framer.WriteSettings()

	return s
}

// encode returns a block of fields, in which each field is there twice: as it is, and by its index.
func encode(fields ...hpack.HeaderField) []byte {
	var block bytes.Buffer

	encoder := hpack.NewEncoder(&block)

	for range 2 {
		for _, field := range fields {
			_ = encoder.WriteField(field)
		}
	}

	return block.Bytes()
}

// read returns the blocks that have ended.
func read(t require.TestingT, f *frames, pieces ...[]byte) []Block {
	var blocks []Block

	for _, p := range pieces {
		require.NoError(t, f.read(p, func(b Block) error {
			if b.Ended {
				blocks = append(blocks, b)
			}

			return nil
		}))
	}

	return blocks
}

// cut cuts data into pieces of random sizes.
func cut(t *rapid.T, data []byte, most int) [][]byte {
	var pieces [][]byte

	for len(data) > 0 {
		n := rapid.IntRange(1, min(most, len(data))).Draw(t, "piece")
		pieces = append(pieces, data[:n])
		data = data[n:]
	}

	return pieces
}

// Promise S4: headers are counted exactly as the decoder will find them, however they are cut into
// frames and the frames into pieces.
func TestFrames_CountWhatTheDecoderFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSent()

		for range rapid.IntRange(1, 4).Draw(t, "blocks") {
			count := rapid.IntRange(0, 8).Draw(t, "fields")
			fields := make([]hpack.HeaderField, 0, count)

			for range count {
				fields = append(fields, hpack.HeaderField{
					Name:      strings.Repeat("n", rapid.IntRange(1, 40).Draw(t, "name")),
					Value:     strings.Repeat("v", rapid.SampledFrom([]int{0, 3, 130, 5000}).Draw(t, "value")),
					Sensitive: rapid.Bool().Draw(t, "sensitive"),
				})
			}

			s.block(t, encode(fields...), 2*len(fields))
			require.NoError(t, s.framer.WriteData(1, false, make([]byte, rapid.IntRange(0, 99).Draw(t, "data"))))
		}

		f := newFrames(newMessages(0))
		found := read(t, &f, cut(t, s.Bytes(), rapid.SampledFrom([]int{7, 100, 5000}).Draw(t, "most"))...)

		require.Len(t, found, len(s.blocks))

		for i, block := range s.blocks {
			require.Equal(t, block.Bytes, found[i].Bytes)
			require.Equal(t, block.Fields, found[i].Fields)
			require.GreaterOrEqual(t, found[i].Work, block.Fields-usualFields)
		}
	})
}

// block writes a block of headers, cut into frames.
func (s *sent) block(t *rapid.T, block []byte, fields int) {
	before := s.Len()
	pieces := cut(t, block, rapid.SampledFrom([]int{20, 1000, 16 << 10}).Draw(t, "frame"))

	first := []byte{}
	if len(pieces) > 0 {
		first, pieces = pieces[0], pieces[1:]
	}

	priority := http2.PriorityParam{}
	if rapid.Bool().Draw(t, "priority") {
		priority.Weight = 7
	}

	require.NoError(t, s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: first, EndHeaders: len(pieces) == 0, Priority: priority,
		PadLength: uint8(rapid.IntRange(0, 255).Draw(t, "padding")),
	}))

	for i, piece := range pieces {
		require.NoError(t, s.framer.WriteContinuation(1, i == len(pieces)-1, piece))
	}

	s.blocks = append(s.blocks, Block{Bytes: s.Len() - before, Fields: fields})
}

// A frame counts in full before anything of it has come.
func TestFrames_CountWhatIsAnnounced(t *testing.T) {
	f := newFrames(newMessages(0))
	f.preface = 0

	var told Block

	require.NoError(t, f.read([]byte{0, 0x40, 0, headersFrame, 0, 0, 0, 0, 1}, func(b Block) error {
		told = b

		return nil
	}))
	require.Equal(t, Block{Bytes: 9 + 16<<10, Frames: 1}, told)
}

// A text that does not come to its end is work for the decoder with each frame.
func TestFrames_CountTheWorkOfAnUnfinishedText(t *testing.T) {
	s := newSent()
	text := append([]byte{0, 1, 'x', 0x7f, 0xff, 0xff, 0x3f}, make([]byte, 16<<10-7)...)
	require.NoError(t, s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: text}))

	for range 100 {
		require.NoError(t, s.framer.WriteContinuation(1, false, nil))
	}

	f := newFrames(newMessages(0))
	read(t, &f, s.Bytes())
	require.Equal(t, 1, f.block.Fields)
	require.GreaterOrEqual(t, f.block.Work, 400)
}

// Promise S4: whatever comes, what the decoder makes of a block is not more than was counted, and
// not before.
func FuzzFrames(f *testing.F) {
	s := newSent()
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(
		hpack.HeaderField{Name: ":method", Value: "POST"}, hpack.HeaderField{Name: "a", Value: "b"},
	)[:3]})
	_ = s.framer.WriteContinuation(1, true, []byte{0x82, 0x20, 0x40, 1, 'x', 0x81, 0x1f})
	f.Add(s.Bytes()[prefaceBytes:], 1)
	f.Add(s.Bytes()[prefaceBytes:], 7)
	f.Add([]byte{0, 0, 3, headersFrame, padded | prioritize | endHeaders, 0, 0, 0, 1, 1, 2, 3}, 2)

	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = min(max(size, 1), 1<<10)
		counted := newFrames(newMessages(0))
		counted.preface = 0

		source := &countingReader{frames: &counted, data: data, size: size, t: t}
		framer := http2.NewFramer(io.Discard, source)
		framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)

		for {
			frame, err := framer.ReadFrame()
			if headers, ok := frame.(*http2.MetaHeadersFrame); ok && err == nil {
				require.LessOrEqual(t, len(headers.Fields), source.last.Fields)
				require.True(t, source.last.Ended)
			}

			if err != nil {
				if _, ok := errors.AsType[http2.StreamError](err); !ok {
					return
				}
			}
		}
	})
}

// countingReader reads data in pieces of a size, and has frames count them first.
type countingReader struct {
	frames *frames
	data   []byte
	size   int
	last   Block
	t      *testing.T
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.size)], r.data)
	r.data = r.data[n:]

	if n == 0 {
		return 0, io.EOF
	}

	require.NoError(r.t, r.frames.read(p[:n], func(b Block) error {
		require.GreaterOrEqual(r.t, b.Bytes, frameHeader)
		require.LessOrEqual(r.t, b.Fields, b.Bytes)
		r.last = b

		return nil
	}))

	return n, nil
}
