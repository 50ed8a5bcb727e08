package calls

import (
	"testing"
	"time"

	"github.com/minogrpc/session/internal/parcel"
)

// BenchmarkOutbox_Burst sends bursts of 100 parcels, of which as many are under way as
// may be.
func BenchmarkOutbox_Burst(b *testing.B) {
	for _, keys := range [][]string{{"a"}, {"a", "b", "c", "d", "e"}} {
		b.Run(map[bool]string{true: "one", false: "five"}[len(keys) == 1]+"_destinations", func(b *testing.B) {
			box := newOutbox(parcel.Box{MaxPackets: 1000, MaxBytes: 1 << 20}, 8)
			packet := newParcel(1, keys...).Packet
			deadline := time.Now().Add(time.Hour)
			underway := make([]*parcel.Parcel, 0, 8)

			b.ReportAllocs()

			for b.Loop() {
				for range 100 {
					p := &parcel.Parcel{Packet: packet, Keys: keys}
					p.Deadline = deadline
					_ = box.add(p)
				}

				for box.Len() > 0 {
					for p := box.take(); p != nil; p = box.take() {
						underway = append(underway, p)
					}

					box.remove(underway[0])
					underway = append(underway[:0], underway[1:]...)
				}
			}
		})
	}
}
