package worlds_test

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// These replace the random bytes of the conversation: the id of the link and the identities of
// the two sessions.
const (
	goldenLink         = "000102030405060708090a0b0c0d0e0f"
	goldenOrchestrator = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
	goldenRoot         = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
)

// conversation is the example of docs/wire.md, part by part: an orchestrator opens the stream
// to a root. A test plays one end from the golden files. The other end is real: it does what is
// listed here, and must say what the files contain.
var conversation = []struct {
	file               string
	orchestrator, root func(p *play)
}{
	{file: "opening"},
	{file: "parcel", orchestrator: func(p *play) { p.send("hello", "root") }},
	{file: "failure", orchestrator: func(p *play) { p.send("hello", "nobody") }},
	{file: "answer", root: func(p *play) { p.sendTo("world", orchestratorOf(addr("orchestrator"))) }},
	{file: "heartbeat", orchestrator: rest, root: rest},
	{file: "chunks", orchestrator: func(p *play) { p.send(longMessage, "root") }},
	{file: "break", orchestrator: func(p *play) { p.send("again", "root") }, root: func(p *play) {
		p.sendTo("news", orchestratorOf(addr("orchestrator")))
	}},
	{file: "resume", orchestrator: cut, root: cut},
	{file: "goodbye", orchestrator: func(p *play) { p.sess.Close() }},
}

// longMessage does not fit into one frame.
var longMessage = fake.Message(strings.Repeat("a", 5_000))

func orchestratorOf(addr session.Address) mino.Address {
	return session.NewOrchestratorAddress(addr)
}

// rest waits until the next heartbeat.
func rest(*play) {
	time.Sleep(session.DefaultLiveness / 3)
}

// cut ends the stream as a lost connection does.
func cut(p *play) {
	p.stream.End(errLost)
}

// play is one run of the conversation with one real end.
type play struct {
	*world

	// side is the mark of the real end. origin replaces its identity.
	side   byte
	origin string
	sess   session.Session
	stream *fake.Stream

	// said holds what the real end has said until the test compares it.
	said chan string
	// golden maps the random bytes of this run to those of the golden files.
	golden map[string]string
	sent   []<-chan error

	// listening counts the goroutines in Listen.
	listening sync.WaitGroup

	// hear makes the other end say an entry.
	hear func(entry)
}

// follow plays the whole conversation.
func (p *play) follow() {
	for _, part := range conversation {
		act := part.root
		if p.side == '>' {
			act = part.orchestrator
		}

		synctest.Wait()

		if act != nil {
			act(p)
		}

		for _, e := range readEntries(p.T, part.file) {
			synctest.Wait()

			switch {
			case e.from == p.side:
				require.Equal(p, e.text, p.next(part.file), part.file)
			case !e.lost:
				p.hear(e)
			}
		}
	}

	synctest.Wait()
	require.Empty(p, p.said, "it says more than the golden files have")
}

// next returns the next thing that the real end has said.
func (p *play) next(file string) string {
	select {
	case text := <-p.said:
		for random, fixed := range p.golden {
			text = strings.ReplaceAll(text, random, fixed)
		}

		return text
	default:
		require.Fail(p, "nothing is said", file)

		return ""
	}
}

// say records a frame of the real end.
func (p *play) say(frame *ptypes.Packet) error {
	for _, parcel := range frame.GetParcels() {
		p.golden[hex.EncodeToString(parcel.GetOrigin())] = p.origin
	}

	data, err := proto.Marshal(frame)
	if err == nil {
		p.said <- frameText(p.T, data)
	}

	return err
}

// feed gives the real end a frame.
func (p *play) feed(e entry) {
	frame := new(ptypes.Packet)
	require.NoError(p, proto.Unmarshal(e.bytes(p.T), frame))
	p.stream.Feed(frame)
}

// linkField returns a field of the link metadata.
func linkField(value, name string) string {
	_, rest, _ := strings.Cut(value, ";"+name+"=")
	text, _, _ := strings.Cut(rest, ";")

	return text
}

func (p *play) send(msg fake.Message, to string) {
	p.sendTo(msg, addr(to))
}

func (p *play) sendTo(msg fake.Message, to mino.Address) {
	p.sent = append(p.sent, p.sess.Send(msg, to))
}

// playWith returns a play in which a new session is the real end.
func playWith(w *world, side byte, origin string, me mino.Address) *play {
	p := &play{
		world: w, side: side, origin: origin, sess: w.session(me), stream: fake.NewStream(nil),
		said: make(chan string, 100), golden: make(map[string]string),
	}
	w.cleanup = append(w.cleanup, func() { p.stream.End(io.EOF) })

	return p
}

// Promises M2, L1, L5: a callee says and understands what docs/wire.md shows.
func TestConversation_RootSaysItsPart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := playWith(w, '<', goldenRoot, addr("root"))
		p.hear = func(e entry) {
			if offer, ok := e.metadata(); ok {
				p.accept(offer)
			} else {
				p.feed(e)
			}
		}

		p.follow()
		p.stream.End(io.EOF)
		p.listening.Wait()

		for _, outcomes := range p.sent {
			require.Empty(t, w.outcomes(outcomes))
		}

		for _, want := range []fake.Message{"hello", longMessage, "again"} {
			_, msg := w.recv(p.sess)
			require.Equal(t, want, msg)
		}

		_, _, err := p.sess.Recv(t.Context())
		require.ErrorIs(t, err, io.EOF)
	})
}

// accept handles a stream of an orchestrator as an overlay does.
func (p *play) accept(offer string) {
	var relay *session.DuplexRelay

	// The opener gets the header before anything else.
	greet := sync.OnceFunc(func() {
		value := relay.Header().Get(session.LinkKey)[0]
		p.golden[linkField(value, "session")] = goldenRoot
		p.said <- metadataText(value)
	})

	p.stream = fake.NewStream(nil)
	stream := &saying{Stream: p.stream, say: func(frame *ptypes.Packet) error {
		greet()

		return p.say(frame)
	}}

	relay, ok := session.AcceptRelay(stream, orchestratorOf(addr("orchestrator")),
		metadata.Pairs(session.LinkKey, offer))
	require.True(p, ok)

	ready := make(chan struct{})

	p.listening.Go(func() { p.sess.Listen(relay, p.table(3, addr("root")), ready) })
	<-ready
	greet()
}

// Promises M2, L1, L5, O1: the opener of a stream says and understands it, too.
func TestConversation_OrchestratorSaysItsPart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		me := orchestratorOf(addr("orchestrator"))
		p := playWith(w, '>', goldenOrchestrator, me)

		headers := make(chan string)
		w.cleanup = append(w.cleanup, func() { close(headers) })

		p.hear = func(e entry) {
			if header, ok := e.metadata(); ok {
				headers <- header
			} else {
				p.feed(e)
			}
		}

		p.listening.Go(func() {
			packets := routerOf(3).GetPacketFactory()
			relay, err := session.DialRelay(t.Context(), addr("root"), json.NewContext(), packets, p.opener(headers))
			require.NoError(t, err)

			p.sess.Listen(relay, w.table(3, me), nil)
		})

		p.follow()
		p.stream.End(io.EOF)
		p.listening.Wait()

		require.Len(t, p.sent, 4)

		for i, outcomes := range p.sent {
			failures := reasons(w.outcomes(outcomes))
			if i == 1 {
				require.Equal(t, map[string]session.Reason{addr("nobody").String(): session.ReasonNoRoute}, failures)
			} else {
				require.Empty(t, failures)
			}
		}

		for _, want := range []fake.Message{"world", "news"} {
			_, msg := w.recv(p.sess)
			require.Equal(t, want, msg)
		}
	})
}

// opener opens a stream as an overlay does. The other end's headers come from the channel.
func (p *play) opener(headers <-chan string) session.StreamOpener {
	return func(_ context.Context, offer metadata.MD) (session.OpenStream, error) {
		value := offer.Get(session.LinkKey)[0]
		p.golden[linkField(value, "id")] = goldenLink
		p.said <- metadataText(value)

		header := metadata.Pairs(session.LinkKey, <-headers)
		stream := fake.NewStream(nil)
		p.stream = stream

		return session.OpenStream{
			Stream:  &saying{Stream: stream, say: p.say},
			Header:  header,
			Release: func() { stream.End(io.EOF) },
		}, nil
	}
}

// saying is a stream that reads a frame while it is sent, because the session may change the
// frame afterwards.
type saying struct {
	*fake.Stream

	say func(*ptypes.Packet) error
}

// Send implements session.PacketStream.
func (s *saying) Send(frame *ptypes.Packet) error {
	return s.say(frame)
}

func TestConversation_IsThatOfTheDocumentation(t *testing.T) {
	doc, err := os.ReadFile("../../docs/wire.md")
	require.NoError(t, err)

	files := make([]string, 0, 1+len(conversation))
	files = append(files, "early") // That one is between a parent and its child.

	for _, part := range conversation {
		files = append(files, part.file)
	}

	for _, file := range files {
		block := "\n```\n" + readGolden(t, file) + "```\n"

		if !strings.Contains(string(doc), block) {
			t.Errorf("docs/wire.md does not have what is in %s.hex", file)
		}
	}
}
