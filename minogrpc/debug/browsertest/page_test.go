package browsertest

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// word is a message.
type word string

// Serialize implements serde.Message.
func (w word) Serialize(serde.Context) ([]byte, error) { return []byte(w), nil }

// Deserialize implements serde.Factory.
func (word) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return word(data), nil }

// reader is a handler that reads until its stream ends.
type reader struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (reader) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		_, _, err := in.Recv(context.Background())
		if err != nil {
			return err
		}
	}
}

// world is thirteen nodes in one stream.
type world struct {
	*sessiontest.Nodes

	t    *testing.T
	root *minogrpc.Minogrpc
	out  mino.Sender

	// child is a child of the root. slow and frozen are the nodes below such children that become so.
	child, slow, frozen int
}

// begins starts the nodes and their stream.
func begins(t *testing.T) *world {
	t.Helper()

	c := sessiontest.Cluster(t, 13, sessiontest.WithRPC("rounds", reader{}, word("")),
		sessiontest.WithMinogrpc(minogrpc.WithInspection()))

	out, _, err := c.RPC(0, "rounds").Stream(t.Context(), c.Players())
	require.NoError(t, err)

	for err := range out.Send(word("all"), c.Addresses()...) {
		require.NoError(t, err)
	}

	w := &world{Nodes: c, t: t, root: c.Node(0).(*minogrpc.Minogrpc), out: out}
	below := make(map[string]bool)

	for _, st := range w.root.Snapshot().Streams {
		for _, child := range st.Children {
			below[child.Address] = true
		}
	}

	var chosen []int

	for i := 1; i < c.Len(); i++ {
		if below[c.Address(i).String()] {
			w.child = i
		} else {
			chosen = append(chosen, i)
		}
	}

	require.GreaterOrEqual(t, len(chosen), 2)
	w.slow, w.frozen = chosen[0], chosen[1]

	return w
}

// freezes makes a node silent, and sends it what it will not answer.
func (w *world) freezes() {
	w.Freeze(w.frozen)
	w.t.Cleanup(func() { w.Heal(w.frozen) })
	w.out.Send(word("again"), w.Addresses()...)
}

// name returns the address of a node as the page has it.
func (w *world) name(i int) string { return w.Address(i).String() }

// quoted returns a text as JavaScript has it.
func quoted(text string) string {
	data, _ := json.Marshal(text) // a string

	return string(data)
}

// says is an expression that is true when the list of what stands out has a line with these texts.
func says(addr, text string) string {
	return `[...document.querySelectorAll("#findings li")].some(
		(li) => li.textContent.includes(` + quoted(addr) + `) && li.textContent.includes(` + quoted(text) + `))`
}

// drawn is an expression that is true when the picture shows the node in that way.
func drawn(addr, look string) string {
	return "document.querySelector(" + quoted(row(addr)+"."+look) + ") !== null"
}

// row is the selector of a node in the picture.
func row(addr string) string {
	return `svg g[aria-label^="` + addr + `,"]`
}

// Promise P3: the page of the root shows the whole tree. It names the slow and the frozen node, which are no
// neighbours of the root, without a reload, and the numbers of a node come up by pointer and by keyboard.
func TestPage_NamesTheSlowAndTheFrozenNode(t *testing.T) {
	w := begins(t)
	srv := httptest.NewServer(debug.Handler(w.root, debug.WithDescendants()))
	t.Cleanup(srv.Close)

	tb := opens(t, 800, 1520)
	tb.does(chromedp.Navigate(srv.URL))
	tb.awaits(`document.getElementById("live").textContent.startsWith("live")`)
	tb.awaits(drawn(w.name(w.slow), "open"))

	for i := 1; i < w.Len(); i++ {
		tb.awaits(`document.querySelectorAll(` + quoted(row(w.name(i))) + `).length === 1`)
	}

	// A round trip is measured every ten seconds, and so long takes a silent neighbour to be lost.
	w.Slow(w.slow, 300*time.Millisecond)
	tb.awaits(says(w.name(w.slow), "round trip"))
	tb.awaits(drawn(w.name(w.slow), "slow"))

	w.freezes()
	tb.awaits(says(w.name(w.frozen), "no sign of life"))
	tb.awaits(drawn(w.name(w.frozen), "lost"))
	tb.awaits(says(w.name(w.slow), "round trip"))
	require.Equal(t, w.name(w.frozen), tb.reads(`document.querySelector("#findings b").textContent`), "the worst comes first")

	shows := `!document.getElementById("detail").hidden && document.getElementById("name").textContent === `

	tb.awaits(`document.getElementById("detail").hidden`)
	tb.does(chromedp.Click(row(w.name(w.slow))))
	tb.awaits(shows + quoted(w.name(w.slow)))
	require.Contains(t, tb.reads(`document.getElementById("numbers").innerText`), "round trip")
	require.Equal(t, "1", tb.reads(`String([...document.querySelectorAll("#findings li")].filter(
		(li) => li.textContent.includes("round trip")).length)`), "a slow node does not accuse its parent")
	tb.runs(`scrollTo(0, 0)`)
	tb.pictures(os.Getenv("SCREENSHOT"))
	tb.does(chromedp.KeyEvent(kb.Escape))
	tb.awaits(`document.getElementById("detail").hidden`)

	// The key moves to the next node.
	tb.does(chromedp.KeyEvent(kb.Tab))
	tb.awaits(`!document.getElementById("detail").hidden`)

	tb.isPleased()
}

// A phone shows all without scrolling sideways, also in the dark.
func TestPage_IsForPhonesToo(t *testing.T) {
	w := begins(t)
	srv := httptest.NewServer(debug.Handler(w.root))
	t.Cleanup(srv.Close)

	tb := opens(t, 800, 1000)

	_, err := chromedp.Call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	require.NoError(t, err)

	tb.does(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulatePortrait, chromedp.EmulateTouch),
		chromedp.Navigate(srv.URL))
	tb.awaits(drawn(w.name(w.child), "open"))
	require.Equal(t, "360", tb.reads(`String(document.documentElement.scrollWidth)`))
	require.Equal(t, "rgb(13, 17, 23)", tb.reads(`getComputedStyle(document.body).backgroundColor`))

	tb.does(chromedp.Tap(row(w.name(w.child))))
	tb.awaits(`!document.getElementById("detail").hidden`)
	tb.pictures(os.Getenv("SCREENSHOT_PHONE"))
	tb.isPleased()
}

// A hidden page asks for nothing, and goes on when it is seen again.
func TestPage_RestsWhileItIsHidden(t *testing.T) {
	var asked atomic.Int32

	srv := httptest.NewServer(debug.Handler(node(func() minogrpc.Snapshot {
		asked.Add(1)

		return minogrpc.Snapshot{}
	})))
	t.Cleanup(srv.Close)

	tb := opens(t, 800, 1000)
	tb.does(chromedp.Navigate(srv.URL))
	tb.awaits(`document.getElementById("live").textContent.startsWith("live")`)

	hide := func(hidden string) {
		tb.runs(`Object.defineProperty(document, "hidden", { value: ` + hidden + `, configurable: true });
			document.dispatchEvent(new Event("visibilitychange"))`)
	}

	// It may be asking now. Three seconds are time for three more.
	hide("true")
	tb.awaits(`(globalThis.begun ??= Date.now()) + 3000 < Date.now()`)
	require.LessOrEqual(t, asked.Load(), int32(2))

	before := asked.Load()

	hide("false")
	tb.awaits(`document.getElementById("live").textContent.startsWith("live")`)
	tb.awaits(`performance.getEntriesByType("resource").filter((e) => e.name.endsWith("snapshot.json")).length > ` +
		strconv.Itoa(int(before)))
	tb.isPleased()
}

// Texts of other nodes are texts, wherever the page shows them.
func TestPage_HostileTextsAreTexts(t *testing.T) {
	const text = `<img src=x onerror="document.title='stolen'"></script><script>document.title='stolen'</script>`

	var snap minogrpc.Snapshot

	snap.Address = text
	snap.Streams = []host.Stream{{Role: text, Handler: text}}

	st := &snap.Streams[0]
	st.Procedure, st.Stream, st.Protocol, st.Address = text, text, text, text
	st.Parents = []session.Neighbor{{Address: text, State: text}, {Address: "\u202egrpc://a:1\n", State: session.NeighborLost}}
	st.Children = []session.Neighbor{{Address: text, State: "\u202e" + session.NeighborState(strings.Repeat(text, 1<<20/len(text)))}}
	st.Failures = []session.Failure{{Destination: text, Reason: text, Hop: text, Cause: strings.Repeat(text, 1<<20/len(text))}}

	below := []minogrpc.Branch{{Address: text, Missing: text, Stream: st}}
	srv := httptest.NewServer(debug.Handler(asker{func() minogrpc.Snapshot { return snap },
		[]minogrpc.Descendants{{Stream: text, Role: text, Below: below}}}, debug.WithDescendants()))
	t.Cleanup(srv.Close)

	tb := opens(t, 800, 1000)
	tb.does(chromedp.Navigate(srv.URL))
	tb.awaits(`document.querySelectorAll("svg g[role=button]").length === 5 && document.querySelector(".failures li")`)
	tb.runs(`document.querySelector("svg g[role=button]").dispatchEvent(new Event("focus"))`)
	tb.awaits(`!document.getElementById("detail").hidden`)

	require.Equal(t, "0 1", tb.reads(`document.images.length + " " + document.scripts.length`))
	require.Equal(t, "<img", tb.reads(`document.title.slice(0, 4)`))
	require.Contains(t, tb.reads(`document.getElementById("findings").textContent`), "\uFFFDgrpc://a:1\uFFFD")
	require.Less(t, len(tb.reads(`document.body.textContent`)), 20_000)
	require.NotContains(t, tb.reads(`document.body.textContent`), "\u202e")
	tb.isPleased()
}

// asker is a node whose descendants the test has made, too.
type asker struct {
	node

	trees []minogrpc.Descendants
}

// Descendants implements debug.Asker.
func (a asker) Descendants(context.Context, minogrpc.Snapshot) []minogrpc.Descendants { return a.trees }

// node is a node whose snapshot the test has made.
type node func() minogrpc.Snapshot

// Snapshot implements debug.Node.
func (n node) Snapshot() minogrpc.Snapshot { return n() }
