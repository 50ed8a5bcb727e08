package worlds_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The golden files of duplex links hold what the two ends say to each other. An entry begins
// with ">" for the opener of the stream or "<" for the callee. A "|" after that marks an entry
// that gets lost. The rest of it is metadata, or a frame in hex with one field on each line.
// "61*1000" means the byte 61 a thousand times. "#" begins a comment. The test checks the
// comments next to the bytes, too.

// entry is one thing that one end says.
type entry struct {
	from byte
	lost bool
	// text is the entry without its marks.
	text string
}

// readEntries returns the entries of a golden file.
func readEntries(t *testing.T, name string) []entry {
	t.Helper()

	var entries []entry

	for line := range strings.Lines(readGolden(t, name)) {
		line = strings.TrimRight(line, "\n")

		switch {
		case line == "" || line[0] == '#':
		case line[0] == ' ':
			entries[len(entries)-1].text += "\n" + line[2:]
		default:
			entries = append(entries, entry{from: line[0], lost: line[1] == '|', text: line[2:]})
		}
	}

	return entries
}

func readGolden(t *testing.T, name string) string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "duplex", name+".hex"))
	require.NoError(t, err)

	return string(text)
}

// metadata returns the value of the link metadata, if the entry holds that.
func (e entry) metadata() (value string, ok bool) {
	return strings.CutPrefix(e.text, metadataText(""))
}

// metadataText returns metadata in the form of a golden file.
func metadataText(value string) string {
	return session.LinkKey + ": " + value
}

// bytes returns the bytes that an entry holds in hex.
func (e entry) bytes(t *testing.T) []byte {
	t.Helper()

	var all []byte

	for line := range strings.Lines(e.text) {
		code, _, _ := strings.Cut(line, "#")

		for word := range strings.FieldsSeq(code) {
			text, times, repeated := strings.Cut(word, "*")

			data, err := hex.DecodeString(text)
			require.NoError(t, err)

			if repeated {
				n, err := strconv.Atoi(times)
				require.NoError(t, err)

				data = bytes.Repeat(data, n)
			}

			all = append(all, data...)
		}
	}

	return all
}

// frameText returns a frame in the form of a golden file.
func frameText(t *testing.T, frame []byte) string {
	t.Helper()

	desc := new(ptypes.Packet).ProtoReflect().Descriptor()

	return strings.Join(fieldLines(t, desc, frame, ""), "\n")
}

// fieldLines returns a line for each field of a message, nested messages included.
func fieldLines(t *testing.T, desc protoreflect.MessageDescriptor, data []byte, indent string) []string {
	t.Helper()

	var lines []string

	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		size := protowire.ConsumeFieldValue(number, wire, data[tag:])
		require.GreaterOrEqual(t, size, 0)

		field := desc.Fields().ByNumber(number)
		require.NotNil(t, field, "field %d", number)

		code, comment, inner := fieldText(field, data[:tag], data[tag:tag+size])
		first, more, _ := strings.Cut(code, "\n")
		lines = append(lines, fmt.Sprintf("%-44s# %s", indent+first, indent+comment))

		for line := range strings.Lines(more) {
			lines = append(lines, indent+strings.TrimRight(line, "\n"))
		}

		data = data[tag+size:]

		if inner != nil {
			lines = append(lines, fieldLines(t, field.Message(), inner, indent+"  ")...)
		}
	}

	return lines
}

// fieldText returns a field in hex and in words. The content of a nested message is in inner.
func fieldText(field protoreflect.FieldDescriptor, tag, value []byte) (code, comment string, inner []byte) {
	name := string(field.Name())
	whole := hex.EncodeToString(tag) + hex.EncodeToString(value)

	if field.IsPacked() {
		return whole, name + " " + numbersText(value), nil
	}

	if field.Kind() != protoreflect.MessageKind && field.Kind() != protoreflect.BytesKind &&
		field.Kind() != protoreflect.StringKind {
		return whole, name + " " + numberText(field, value), nil
	}

	content, _ := protowire.ConsumeBytes(value)
	begin := hex.EncodeToString(tag) + hex.EncodeToString(value[:len(value)-len(content)])

	switch {
	case field.Kind() == protoreflect.MessageKind:
		return begin, name, content
	case len(content) > 64:
		return fmt.Sprintf("%s %02x*%d", begin, content[0], len(content)), name, nil
	case isText(content):
		return wrapped(begin, content), fmt.Sprintf("%s %q", name, content), nil
	default:
		return wrapped(begin, content), name, nil
	}
}

// wrapped returns bytes in hex, 16 of them on each line.
func wrapped(begin string, content []byte) string {
	lines := make([]string, 0, 1+len(content)/16)
	for part := range slices.Chunk(content, 16) {
		lines = append(lines, hex.EncodeToString(part))
	}

	return begin + " " + strings.Join(lines, "\n"+strings.Repeat(" ", len(begin)+1))
}

// numberText returns a number as text, or the name that it stands for.
func numberText(field protoreflect.FieldDescriptor, value []byte) string {
	n, _ := protowire.ConsumeVarint(value)

	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.FormatBool(n != 0)
	case protoreflect.EnumKind:
		return string(field.Enum().Values().ByNumber(protoreflect.EnumNumber(n)).Name())
	default:
		return strconv.FormatUint(n, 10)
	}
}

// numbersText returns the numbers of a list.
func numbersText(value []byte) string {
	var all []uint64

	list, _ := protowire.ConsumeBytes(value)

	for len(list) > 0 {
		n, size := protowire.ConsumeVarint(list)
		all = append(all, n)
		list = list[size:]
	}

	return fmt.Sprint(all)
}

func isText(data []byte) bool {
	for _, b := range data {
		if b < ' ' || b > '~' {
			return false
		}
	}

	return true
}
