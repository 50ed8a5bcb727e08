package tree_test

import (
	"fmt"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// The time per destination should be the same in each line.
func BenchmarkForward(b *testing.B) {
	me := session.NewAddress("root:1")

	for _, n := range []int{100, 10_000} {
		dests := addresses(n)

		for name, players := range map[string][]mino.Address{"down": dests, "to the parent": nil} {
			b.Run(fmt.Sprintf("%d %s", n, name), func(b *testing.B) {
				table, err := newRouter().New(mino.NewAddresses(players...), me)
				require.NoError(b, err)

				packet := table.Make(me, dests, nil)

				b.ReportAllocs()

				for b.Loop() {
					table.Forward(packet)
				}

				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/destination")
			})
		}
	}
}
