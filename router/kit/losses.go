package kit

import (
	"fmt"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// DefaultPause is how long a lost neighbour is not tried again.
const DefaultPause = time.Second

// Losses remembers which neighbours a table has lost. The zero value is ready to use.
type Losses struct {
	// Pause is how long a lost neighbour is not tried again. Zero, or less, means [DefaultPause]. It
	// should be less than a minute.
	Pause time.Duration

	// until is when each lost neighbour is tried again.
	until map[string]time.Time
}

// Add notes that a neighbour is lost, from now on. A table calls it for neighbours only, so that
// nobody fills its memory.
func (l *Losses) Add(addr mino.Address) {
	if l.until == nil {
		l.until = make(map[string]time.Time)
	}

	pause := l.Pause
	if pause <= 0 {
		pause = DefaultPause
	}

	l.until[Key(addr)] = time.Now().Add(pause)
}

// Check returns an error that wraps [router.ErrUnreachable] while a lost neighbour is not to be
// tried again, and nil for others.
func (l *Losses) Check(addr mino.Address) error {
	left := time.Until(l.until[Key(addr)])
	if left <= 0 {
		return nil
	}

	return fmt.Errorf("%w: the node was lost, it is tried again in %v", router.ErrUnreachable,
		left.Round(time.Millisecond))
}
