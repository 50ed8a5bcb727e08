package offer

import (
	"slices"
	"strconv"
	"strings"
)

// version begins a value that offers a duplex link, or accepts one.
const version = "duplex-1"

// The fields of such a value.
const (
	fieldID       = "id"
	fieldEpoch    = "epoch"
	fieldReceived = "received"
	fieldFrame    = "frame"
	fieldFormat   = "format"
	fieldSession  = "session"
	fieldCan      = "can"
	fieldWait     = "wait"
	fieldTenure   = "tenure"
	fieldEarly    = "early"
)

// yes is the text of a field that only has to be there.
const yes = "1"

// fields are the names and the texts that a value holds, in their order.
type fields [][2]string

// value prints the value. Empty fields are left out.
func (f fields) value() string {
	size := len(version)
	for _, field := range f {
		size += len(field[0]) + len(field[1]) + len(";=")
	}

	var b strings.Builder

	b.Grow(size)
	b.WriteString(version)

	for _, field := range f {
		if field[1] != "" {
			b.WriteByte(';')
			b.WriteString(field[0])
			b.WriteByte('=')
			b.WriteString(field[1])
		}
	}

	return b.String()
}

// parse reads the first of the values that is about a duplex link. Fields that are not
// known here do not matter: newer nodes may add some.
func parse(values []string) (fields, bool) {
	for _, value := range values {
		name, rest, more := strings.Cut(value, ";")
		if name != version {
			continue
		}

		f := make(fields, 0, strings.Count(value, ";"))

		for more {
			var part string

			part, rest, more = strings.Cut(rest, ";")
			name, text, _ := strings.Cut(part, "=")
			f = append(f, [2]string{name, text})
		}

		return f, true
	}

	return nil, false
}

// get returns the text of a field, which is empty for a field that is not there. Of several
// fields with the same name the first counts.
func (f fields) get(name string) string {
	i := slices.IndexFunc(f, func(field [2]string) bool { return field[0] == name })
	if i < 0 {
		return ""
	}

	return f[i][1]
}

// number returns the number in a field, or 0 when there is none.
func (f fields) number(name string) uint64 {
	n, err := strconv.ParseUint(f.get(name), 10, 64)
	if err != nil {
		return 0
	}

	return n
}

// list returns the texts in a field, with a + between them.
func (f fields) list(name string) []string {
	text := f.get(name)
	if text == "" {
		return nil
	}

	return strings.Split(text, "+")
}

// frame returns the size of the largest frame. One larger than [MaxFrame] is never
// asked for.
func (f fields) frame() int {
	return int(min(f.number(fieldFrame), MaxFrame))
}
