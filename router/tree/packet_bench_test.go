package tree_test

import (
	"fmt"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// What each step on the way of a packet costs, for one destination and for a few.
func BenchmarkPacket(b *testing.B) {
	var me mino.Address = session.NewAddress("127.0.0.1:1999")

	ctx := json.NewContext()
	factory := newRouter().GetPacketFactory().(router.BinaryPacketFactory)

	table, err := newRouter().New(mino.NewAddresses(addresses(8)...), me)
	require.NoError(b, err)

	for _, n := range []int{1, 8} {
		for _, size := range []int{64, 1 << 20} {
			dests := addresses(n)
			packet := table.Make(me, dests, make([]byte, size)).(router.BinaryPacket)

			data, err := packet.Serialize(ctx)
			require.NoError(b, err)

			header, err := packet.AppendHeader(nil)
			require.NoError(b, err)

			for name, step := range map[string]func(){
				"Make":      func() { table.Make(me, dests, packet.GetMessage()) },
				"Slice":     func() { packet.Slice(me) },
				"Forward":   func() { table.Forward(packet) },
				"Serialize": func() { _, _ = packet.Serialize(ctx) },
				"PacketOf":  func() { _, _ = factory.PacketOf(ctx, data) },

				"AppendHeader":   func() { _, _ = packet.AppendHeader(header[:0]) },
				"PacketOfHeader": func() { _, _ = factory.PacketOfHeader(header, packet.GetMessage()) },
			} {
				b.Run(fmt.Sprintf("%s/%d to %d", name, size, n), func(b *testing.B) {
					b.ReportAllocs()

					for b.Loop() {
						step()
					}
				})
			}
		}
	}
}
