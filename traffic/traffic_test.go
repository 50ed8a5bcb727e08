package traffic_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/minogrpc/session/traffic"
	"github.com/stretchr/testify/require"
)

// echo answers each message.
type echo struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (echo) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if err != nil {
			return err
		}

		out.Send(msg, from)
	}
}

// recorded returns what a record of three nodes has: the first asks the others, of which one is killed
// before the second question.
func recorded(t *testing.T, opts ...traffic.Option) *traffic.Record {
	t.Helper()

	record := traffic.NewRecord(opts...)
	c := sessiontest.Cluster(t, 3, sessiontest.WithRPC("echo", echo{}, fake.MessageFactory{}),
		sessiontest.WithMinogrpc(minogrpc.WithSessionOptions(session.WithObserver(record.Observer()))))
	out, in, err := c.RPC(0, "echo").Stream(t.Context(), c.Players())
	require.NoError(t, err)

	for err := range out.Send(fake.Message("question"), c.Address(1), c.Address(2)) {
		require.NoError(t, err)
	}

	for range 2 {
		_, _, err := in.Recv(t.Context())
		require.NoError(t, err)
	}

	synctest.Wait() // The players know the outcomes of their answers.
	c.Slow(1, 100*time.Millisecond)
	c.Kill(2)

	for range out.Send(fake.Message("again"), c.Address(1), c.Address(2)) {
		synctest.Wait() // The record has them.
	}

	_, _, err = in.Recv(t.Context())
	require.NoError(t, err)
	time.Sleep(time.Second) // The outcome of the answer is on its way.

	return record
}

func TestRecord_KeepsWhatTheNodesDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, dropped := recorded(t).Events()
		require.Zero(t, dropped)

		count := make(map[traffic.Kind]int)
		for _, e := range events {
			count[e.Kind]++
			require.NotEmpty(t, e.Stream)
			require.NotEmpty(t, e.Node)
		}

		require.Equal(t, 6, count[traffic.Delivered], "two questions and their answers, then one of each")
		require.Equal(t, 6, count[traffic.Reached])
		require.Equal(t, 1, count[traffic.Failed])
		require.Positive(t, count[traffic.Lost])
		require.Equal(t, count[traffic.Received], count[traffic.Sent])
	})
}

// Of more events than there is room for, the first are kept and the others counted.
func TestRecord_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, dropped := recorded(t, traffic.WithLimit(5)).Events()
		require.Len(t, events, 5)
		require.Greater(t, dropped, 5)

		var text bytes.Buffer

		require.NoError(t, recorded(t, traffic.WithLimit(5)).WriteMermaid(&text))
		require.Contains(t, text.String(), "more\n")
	})
}

func TestRecord_WritesASequenceDiagram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer

		require.NoError(t, recorded(t).WriteMermaid(&text))

		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		require.Equal(t, "sequenceDiagram", lines[0])
		require.Contains(t, text.String(), " as orchestrator n0:1")
		require.Contains(t, text.String(), "8 bytes of orchestrator n0:1 for 2 players in 0s")
		require.Contains(t, text.String(), "5 bytes of orchestrator n0:1 for 1 player in 100ms")
		require.Contains(t, text.String(), ": lost n2:1: ")
		require.Contains(t, text.String(), ": failed n2:1 after ")
	})
}

// The picture is well-formed XML with an arrow for each packet, and shows who was lost.
func TestRecord_WritesATimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := recorded(t)
		events, _ := record.Events()
		sent := 0

		for _, e := range events {
			if e.Kind == traffic.Sent {
				sent++
			}
		}

		classes, titles := drawn(t, record)
		require.Equal(t, sent, classes["hop"]+classes["gone"])
		require.Equal(t, 4, classes["lane"], "the orchestrator and three players")
		require.Positive(t, classes["trouble"])
		require.Contains(t, titles, ": lost n2:1: ")
	})
}

// A picture has the names that it is given, and addresses only in the texts of errors.
func TestRecord_ShowsTheNamesOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := map[string]string{"grpc://n0:1": "alice", "Orchestrator:grpc://n0:1": "the one who asks"}
		record := recorded(t, traffic.WithNames(nil), traffic.WithNames(func(node string) string {
			if name, ok := names[node]; ok {
				return name
			}

			return node
		}))

		var text bytes.Buffer

		require.NoError(t, record.WriteMermaid(&text))
		require.Contains(t, text.String(), "as the one who asks\n")
		require.Contains(t, text.String(), "8 bytes of the one who asks for 2 players")
		require.NotContains(t, text.String(), "n0:1 for")

		text.Reset()
		require.NoError(t, record.WriteSVG(&text))
		require.Contains(t, text.String(), ">alice</text>")
		require.Contains(t, text.String(), ": alice to grpc://n1:1, ")
	})
}

// What nodes say means nothing in the pictures.
func TestRecord_HostileTexts(t *testing.T) {
	record := traffic.NewRecord()
	hostile := "</title><script>alert(1)</script>]]>&\x00\xff;#\nend\u2028"
	addr := session.NewAddress(hostile)

	record.Observer().RelayLost(session.StreamInfo{Node: addr, Stream: hostile}, addr, errors.New(hostile))
	record.Observer().PacketSent(session.StreamInfo{Node: addr}, addr, session.PacketInfo{Source: addr})

	classes, titles := drawn(t, record)
	require.Equal(t, 1, classes["trouble"])
	require.Contains(t, titles, "<script>", "as a text")

	var text bytes.Buffer

	require.NoError(t, record.WriteMermaid(&text))
	require.Equal(t, 4, strings.Count(text.String(), "\n"))
	require.NotContains(t, text.String(), "<script")
}

// The text of an event is bounded, and cut between two characters.
func TestRecord_KeepsWholeCharacters(t *testing.T) {
	for _, c := range []struct{ name, text, kept string }{
		{"short", strings.Repeat("é", 100), strings.Repeat("é", 100)},
		{"two bytes", "a" + strings.Repeat("é", 100), "a" + strings.Repeat("é", 99) + "…"},
		{"four bytes", "ab" + strings.Repeat("𝄞", 60), "ab" + strings.Repeat("𝄞", 49) + "…"},
		{"between two", strings.Repeat("é", 101), strings.Repeat("é", 100) + "…"},
		{"no text at all", strings.Repeat("\x80", 300), strings.Repeat("\x80", 196) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			record := traffic.NewRecord()
			record.Observer().RelayLost(session.StreamInfo{}, nil, errors.New(c.text))

			events, _ := record.Events()
			require.Equal(t, c.kept, events[0].Text)
		})
	}
}

// drawn returns how many elements of each class a timeline has, and its titles.
func drawn(t *testing.T, record *traffic.Record) (classes map[string]int, titles string) {
	t.Helper()

	var picture bytes.Buffer

	require.NoError(t, record.WriteSVG(&picture))

	classes = make(map[string]int)
	decoder := xml.NewDecoder(&picture)

	for title := false; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return classes, titles
		}

		require.NoError(t, err)

		switch token := token.(type) {
		case xml.StartElement:
			title = token.Name.Local == "title"
			require.NotEqual(t, "script", token.Name.Local)

			for _, attr := range token.Attr {
				if attr.Name.Local == "class" {
					classes[attr.Value]++
				}
			}
		case xml.EndElement:
			title = false
		case xml.CharData:
			if title {
				titles += string(token) + "\n"
			}
		}
	}
}
