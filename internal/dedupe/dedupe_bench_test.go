package dedupe_test

import (
	"fmt"
	"testing"

	"github.com/minogrpc/session/internal/dedupe"
)

// BenchmarkMemory is what each packet costs, from one origin and from many in turn.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d origins", n), func(b *testing.B) {
			const source = "FB192.0.2.1:2000"

			var memory dedupe.Memory

			origins := make([][]byte, n)
			for i := range origins {
				origins[i] = fmt.Appendf(nil, "origin %8d", i)
			}

			b.ReportAllocs()

			for i := 0; b.Loop(); i++ {
				origin, sequence := origins[i%n], uint64(i/n)
				if memory.Check(source, origin, sequence) != dedupe.New {
					b.Fatal("seen before")
				}

				memory.Mark("neighbour", source, origin, sequence)
			}
		})
	}
}
