package inbox_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/minogrpc/session/internal/inbox"
)

// BenchmarkInbox runs one goroutine that pushes and one that pops.
func BenchmarkInbox(b *testing.B) {
	const capacity = 1024

	p := packet(0)
	in := inbox.New(capacity, maxBytes, nil)

	b.ReportAllocs()

	var wg sync.WaitGroup

	wg.Go(func() {
		for range b.N {
			for in.Push(entry(p)) != nil {
				runtime.Gosched()
			}
		}
	})

	for range b.N {
		_, _ = in.Pop(b.Context())
	}

	wg.Wait()
}
