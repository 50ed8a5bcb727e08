package deadline

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// tolerance is how late a tick may run in a process that has the processor. The goroutines of
	// Go take turns after 10 ms, and so does what shares a processor under most kernels.
	tolerance = 10 * time.Millisecond

	// least is the part for which a tick counts at least, however late it comes. It is not nothing, so
	// that a deadline also passes in a process that never has enough of the processor.
	least = 8
)

// queue is what Queue calls in a test.
var queue atomic.Pointer[func()]

// Queue waits until what is ready to run has had its turn, as a frame that has come has to wait. A timer
// passes by all of that, and so tells less about how long everything else takes.
func Queue() {
	if own := queue.Load(); own != nil {
		(*own)()
	} else {
		runtime.Gosched()
	}
}

// Starve makes Queue call a function, which may sleep as if others had the processor. It is for
// tests, and returns what makes Queue as it was.
func Starve(wait func()) (restore func()) {
	queue.Store(&wait)

	return func() { queue.Store(nil) }
}

// Counted returns how much of a time counts at whose end a tick has run so late, after Queue: all of it up
// to the tolerance, half of it at twice the tolerance, and so on, down to an eighth.
func Counted(span, late time.Duration) time.Duration {
	if late <= tolerance {
		return span
	}

	// However short it was, so that the last part of a deadline passes, too.
	span = max(span, step)

	return max(span/least, time.Duration(float64(span)*float64(tolerance)/float64(late)))
}
