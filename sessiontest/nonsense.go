package sessiontest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/minogrpc/session/ptypes"
)

// nonsenseCount is how many errors one Ack of nonsense has.
const nonsenseCount = 1000

// NeverAck is a [Peer] OnForward that answers nothing until the caller gives up.
func NeverAck(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

// AckNonsense returns a [Peer] OnForward that answers what no node would: in turn,
// a thousand errors about one stranger, a thousand about as many strangers, texts
// that are no error of any node, typed failures about strangers for reasons that
// do not exist, and addresses that are none. None of them names a destination of
// the packet, so that nobody can know what has become of that.
func AckNonsense() func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
	acks := []*ptypes.Ack{
		{Errors: slices.Repeat([]string{"no route to grpc://stranger:1: nonsense"}, nonsenseCount)},
		{Errors: manyStrangers()},
		{Errors: []string{"", "no route to ", " dropped the packet: ", strings.Repeat("?", 1<<20)}},
		{Failures: slices.Repeat([]*ptypes.Failure{{
			Destination: []byte("FAstranger:1"), Reason: -7, Hop: []byte("FAstranger:1"), Cause: "nonsense",
		}}, nonsenseCount)},
		{Failures: []*ptypes.Failure{{Destination: []byte{0xff, 0}, Reason: 1 << 30, Hop: []byte{0}}}},
	}

	var next atomic.Uint64

	return func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
		return acks[(next.Add(1)-1)%uint64(len(acks))], nil
	}
}

func manyStrangers() []string {
	texts := make([]string, nonsenseCount)
	for i := range texts {
		texts[i] = fmt.Sprintf("grpc://stranger%d:1 dropped the packet: nonsense", i)
	}

	return texts
}
