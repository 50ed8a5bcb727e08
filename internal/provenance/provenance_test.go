package provenance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minogrpc/session/internal/provenance"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// me is the text of the node that asks.
const me = "me"

// address is an address that is its text.
type address string

func (a address) Equal(other mino.Address) bool              { return a == other }
func (a address) ConnectionType() mino.AddressConnectionType { return 0 }
func (a address) String() string                             { return string(a) }
func (a address) MarshalText() ([]byte, error)               { return []byte(a), nil }

func node(name string) provenance.Node {
	return provenance.Node{Key: name, Addr: address(name)}
}

// table is a routing table that can tell sources. It has the nodes behind each child, with
// spaces between them, and under "" those that are above.
type table map[string]string

// MayCome implements router.Sources.
func (t table) MayCome(source, from mino.Address) bool {
	key := ""
	if from != nil {
		key = from.String()
	}

	return source != nil && slices.Contains(strings.Fields(t[key]), source.String())
}

// tableOf makes a routing table of what is only asked for sources.
func tableOf(t table) router.RoutingTable {
	return struct {
		router.RoutingTable
		router.Sources
	}{Sources: t}
}

// mute is a routing table that cannot tell.
type mute struct{ router.RoutingTable }

func registration(key string, t router.RoutingTable) provenance.Registration {
	return provenance.Registration{Key: key, Table: t}
}

// led marks a registration as one whose table has led to a child.
func led(reg provenance.Registration) provenance.Registration {
	reg.Led = true

	return reg
}

// world is what a book is asked about.
type world struct {
	children      []string
	over, current []provenance.Registration
	// admits has the sources that each neighbour may send for, and refuses the others.
	admits, refuses map[string]string
}

// Registrations of the worlds.
var (
	below = registration("p", tableOf(table{"": "p z", "b": "b c", "b2": "b2"}))
	wider = registration("q", tableOf(table{"": "q", "b": "b c d"}))
	none  = registration("p", tableOf(table{"": "p z"}))
	muted = registration("p", mute{})
)

var worlds = map[string]world{
	"a parent": {
		current: []provenance.Registration{below},
		admits:  map[string]string{"p": "p z"},
		refuses: map[string]string{"p": "b c me", "q": "p z", "b": "b c"},
	},
	"a child": {
		children: []string{"b"},
		current:  []provenance.Registration{below},
		admits:   map[string]string{"p": "p z", "b": "b c"},
		refuses:  map[string]string{"p": "b c", "b": "p z b2 me", "b2": "b2", "c": "c"},
	},
	"a child that no parent knows": {
		children: []string{"b"},
		refuses:  map[string]string{"b": "b c"},
	},
	"a child by the table of another parent": {
		children: []string{"b"},
		current:  []provenance.Registration{none, wider},
		admits:   map[string]string{"b": "b c d"},
		refuses:  map[string]string{"b": "z"},
	},
	"a child by a table of the past": {
		children: []string{"b"},
		over:     []provenance.Registration{led(below)},
		current:  []provenance.Registration{none},
		admits:   map[string]string{"b": "b c"},
		refuses:  map[string]string{"b": "d"},
	},
	"a parent of the past": {
		over:    []provenance.Registration{below},
		current: []provenance.Registration{wider},
		admits:  map[string]string{"p": "p z", "q": "q"},
		refuses: map[string]string{"p": "b q", "q": "p z"},
	},
	"a parent of the past by its last table": {
		over:    []provenance.Registration{led(below), registration("p", tableOf(table{"": "y"}))},
		admits:  map[string]string{"p": "y"},
		refuses: map[string]string{"p": "p z"},
	},
	"a parent that is back by its present table": {
		over:    []provenance.Registration{below},
		current: []provenance.Registration{registration("p", tableOf(table{"": "y"}))},
		admits:  map[string]string{"p": "y"},
		refuses: map[string]string{"p": "p z"},
	},
	"one who is parent and child": {
		children: []string{"b"},
		current:  []provenance.Registration{below, registration("b", tableOf(table{"": "y"}))},
		admits:   map[string]string{"b": "b c y"},
		refuses:  map[string]string{"b": "z"},
	},
	"a table that cannot tell": {
		children: []string{"b"},
		current:  []provenance.Registration{muted},
		admits:   map[string]string{"p": "p z c me", "b": "b c z me"},
		refuses:  map[string]string{"q": "q"},
	},
	"nobody yet": {
		refuses: map[string]string{"p": "p"},
	},
}

// book returns the book of the world.
func (w world) book() *provenance.Book {
	book := new(provenance.Book)

	for _, child := range w.children {
		book.Opened(node(child))
	}

	for _, reg := range w.over {
		book.Over(reg)
	}

	return book
}

// check compares what the book admits with what it should.
func (w world) check(t *testing.T, want bool, rows map[string]string) {
	t.Helper()

	for from, sources := range rows {
		for source := range strings.FieldsSeq(sources) {
			got := w.book().Admits(me, node(from), node(source), w.current)
			require.Equal(t, want, got, "%s of %s", source, from)
		}
	}
}

// Promise S2: the source of a packet must be able to come from the neighbour, by the tables
// of the parents of now and of the past.
func TestBook_AdmitsWhatMayCome(t *testing.T) {
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			w.check(t, true, w.admits)
			w.check(t, false, w.refuses)
		})
	}
}

// Promise S2: a source without a text, and the node itself, come from nowhere, whatever the
// table says.
func TestBook_AdmitsNeitherTheNodeItselfNorNobody(t *testing.T) {
	var book provenance.Book

	current := []provenance.Registration{registration("p", tableOf(table{"": "me nobody"}))}
	nameless := provenance.Node{Addr: address("nobody")}

	require.False(t, book.Admits(me, node("p"), node("me"), current))
	require.False(t, book.Admits(me, node("p"), nameless, current))
	require.False(t, book.Admits(me, node("p"), provenance.Node{}, current))
	require.True(t, book.Admits("other", node("p"), node("me"), current))
}

// Promise S2: who is, or has been, a neighbour is known, and nobody else is.
func TestBook_KnowsTheNeighbours(t *testing.T) {
	var book provenance.Book

	require.False(t, book.Knows("p", nil))

	book.Opened(node("b"))
	book.Over(registration("p", mute{}))
	current := []provenance.Registration{registration("q", mute{})}

	for _, key := range []string{"b", "p", "q"} {
		require.True(t, book.Knows(key, current), key)
	}

	require.False(t, book.Knows("q", nil))
	require.False(t, book.Knows("z", current))
	require.False(t, book.Knows("", current))
}

// Promise S3: the registrations that are remembered are bounded, and the last ones count.
// Those of one gateway replace each other, but for those that have led to children.
func TestBook_RemembersTheLastRegistrations(t *testing.T) {
	var book provenance.Book

	for i := range 20 {
		book.Over(registration(fmt.Sprint("p", i), tableOf(nil)))
	}

	require.False(t, book.Knows("p3", nil))
	require.True(t, book.Knows("p4", nil))

	for range 100 {
		book.Over(registration("again", tableOf(nil)))
	}

	require.False(t, book.Knows("p4", nil))
	require.True(t, book.Knows("p5", nil))

	// That of another gateway with the one that led is still there after many returns.
	book.Opened(node("b"))
	book.Over(led(registration("again", tableOf(table{"b": "c"}))))

	for range 100 {
		book.Over(registration("again", tableOf(nil)))
	}

	require.True(t, book.Knows("p6", nil))
	require.True(t, book.Admits(me, node("b"), node("c"), nil))
	require.False(t, book.Admits(me, node("b"), node("d"), nil))
}

// Promise R2: a child that takes the place of lost ones learns who they were.
func TestBook_PassedOverAreThoseTheChildWasBehind(t *testing.T) {
	var book provenance.Book

	behind := tableOf(table{"b": "b c d", "c": "c d", "x": "x y", "d": "d"})
	require.Empty(t, book.PassedOver(behind, node("d")))

	for _, child := range []string{"b", "c", "x", "d"} {
		book.Opened(node(child))
	}

	table := map[string]struct {
		table router.RoutingTable
		child string
		want  []string
	}{
		"two":                {table: behind, child: "d", want: []string{"b", "c"}},
		"one":                {table: behind, child: "y", want: []string{"x"}},
		"none":               {table: behind, child: "b"},
		"nobody knows it":    {table: behind, child: "z"},
		"a table that can't": {table: mute{}, child: "d"},
	}

	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, row.want, book.PassedOver(row.table, node(row.child)))
		})
	}
}

// panicking is a table that panics when it is asked for a source.
type panicking struct{ router.RoutingTable }

// MayCome implements router.Sources.
func (panicking) MayCome(mino.Address, mino.Address) bool { panic("oops") }

// Promise S1: the panic of a table costs a child nothing. Where a packet is judged the
// session must know of it.
func TestBook_PanicOfATable(t *testing.T) {
	var book provenance.Book

	book.Opened(node("b"))
	require.Empty(t, book.PassedOver(panicking{}, node("c")))
	require.Panics(t, func() {
		book.Admits(me, node("b"), node("c"), []provenance.Registration{registration("p", panicking{})})
	})
}

// Promise R3: to judge a packet takes no memory.
func TestBook_AdmitsTakesNoMemory(t *testing.T) {
	var book provenance.Book

	regs := []provenance.Registration{registration("p", tableOf(nil)), registration("q", tableOf(nil))}
	from, source := node("b"), node("c")

	book.Opened(from)
	book.Over(regs[0])
	require.Zero(t, testing.AllocsPerRun(100, func() { book.Admits(me, from, source, regs) }))
}
