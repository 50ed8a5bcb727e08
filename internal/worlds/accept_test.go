package worlds_test

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// headed is a stream that notes how many frames were sent before each header.
type headed struct {
	*fake.Stream

	headers []metadata.MD
	before  []int
}

func (s *headed) SendHeader(md metadata.MD) error {
	s.headers = append(s.headers, md)
	s.before = append(s.before, len(s.Sent()))

	return nil
}

// Promise L6: the header that accepts a link is sent once, before the first frame, even if the
// session writes before the overlay accepts.
func TestDuplexRelay_HeaderGoesFirst(t *testing.T) {
	const offer = "duplex-1;id=00112233445566778899aabbccddeeff;epoch=1;received=0;frame=65536;format=tree1"

	for name, early := range map[string]bool{"the session writes": false, "the overlay accepts": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"))
				orchestrator := session.NewOrchestratorAddress(addr("o"))
				stream := &headed{Stream: fake.NewStream(nil)}

				relay, ok := session.AcceptRelay(stream, orchestrator, metadata.Pairs(session.LinkKey, offer))
				require.True(t, ok)

				ready := make(chan struct{})

				go sess.Listen(relay, w.table(1, addr("a")), ready)

				<-ready

				if early {
					require.NoError(t, relay.Accept())
				}

				sess.Send(fake.Message("hello"), orchestrator)
				synctest.Wait()
				require.NoError(t, relay.Accept())

				require.Len(t, stream.Sent(), 1)
				require.Equal(t, []metadata.MD{relay.Header()}, stream.headers)
				require.Equal(t, []int{0}, stream.before)

				stream.End(io.EOF)
			})
		})
	}
}
