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

// NeverAck is an OnForward of [Peer] that does not answer until the caller gives up. Then it returns the
// error of the context.
func NeverAck(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
	<-ctx.Done()

	return nil, ctx.Err()
}

// AckNonsense returns an OnForward of [Peer] that answers as no node would. Its answers are, in turn: a
// thousand errors about one stranger, one error about each of a thousand strangers, texts that are no
// error of any node, typed failures about a stranger with reasons that do not exist, and malformed
// addresses. None of them names a destination of the packet, so nobody can know the outcome of that.
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
