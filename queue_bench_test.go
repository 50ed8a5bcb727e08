package session_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/router"
)

func BenchmarkQueue(b *testing.B) {
	const capacity = 1024

	p := packet(0)

	b.Run("channel", func(b *testing.B) {
		ch := make(chan router.Packet, capacity)
		benchmark(b, func() error { ch <- p; return nil }, func() { <-ch })
	})

	b.Run("Channel", func(b *testing.B) {
		q := session.NewNonBlockingQueue(session.WithMaxPackets(capacity))
		ch := q.Channel()
		benchmark(b, func() error { return q.Push(p) }, func() { <-ch })
	})
}

// benchmark runs one producer and one consumer.
func benchmark(b *testing.B, push func() error, take func()) {
	b.ReportAllocs()

	var wg sync.WaitGroup

	wg.Go(func() {
		for range b.N {
			for push() != nil {
				runtime.Gosched()
			}
		}
	})

	for range b.N {
		take()
	}

	wg.Wait()
}
