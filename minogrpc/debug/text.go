package debug

import (
	"fmt"
	"time"

	"github.com/minogrpc/session"
)

// span returns a duration with two digits, such as 4.2s.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// size returns a number of bytes.
func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
}

// packets returns a number of packets with its noun.
func packets(n int) string {
	if n == 1 {
		return "1 packet"
	}

	return fmt.Sprintf("%d packets", n)
}

// reason returns the name of a reason, or what stands for a text that is none.
func reason(text string) string {
	for r := session.ReasonNoRoute; r <= session.ReasonRejected; r++ {
		if r.String() == text {
			return text
		}
	}

	return "unknown"
}
