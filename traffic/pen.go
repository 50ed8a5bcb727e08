package traffic

import (
	"bufio"
	"fmt"
	"io"
)

// pen writes a picture. Flush returns the first error.
type pen struct {
	*bufio.Writer
}

func newPen(w io.Writer) *pen {
	return &pen{bufio.NewWriter(w)}
}

func (p *pen) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p, format, args...) // Flush returns the error.
}
