package traffic

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"
	"unicode"
)

// The measures of a timeline, in pixels.
const (
	laneHeight  = 44
	marginLeft  = 190
	marginTop   = 56
	marginRight = 60
	innerWidth  = 1200
	ticks       = 8
)

// style has the colours for a light and a dark screen.
const style = `<style>
svg{font:12px system-ui,sans-serif;background:#fff;color:#222}
text{fill:currentColor}
.lane{stroke:#ccc}
.tick{stroke:#eee}
.hop{stroke:#2563eb;stroke-width:1.2;fill:none;marker-end:url(#head)}
.gone{stroke:#dc2626;stroke-dasharray:4 3;stroke-width:1.5;fill:none}
.trouble{fill:#dc2626}
.good{fill:#16a34a}
.news{fill:#9ca3af}
@media (prefers-color-scheme:dark){
svg{background:#111;color:#ddd}.lane{stroke:#444}.tick{stroke:#222}.hop{stroke:#60a5fa}
}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#2563eb"/></marker></defs>
`

// canvas is a timeline that is being drawn.
type canvas struct {
	*pen

	lanes map[string]int
	end   time.Duration
}

// WriteSVG writes a timeline as a picture of its own: a lane for each node, an arrow for each packet between
// neighbours, and a dot for each outcome, loss and link. What each is shows when the pointer rests on it.
func (r *Record) WriteSVG(w io.Writer) error {
	s := r.tell()
	c := canvas{pen: newPen(w), lanes: make(map[string]int), end: max(s.end, time.Microsecond)}
	height := marginTop + laneHeight*len(s.nodes) + laneHeight/2

	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`+"\n",
		marginLeft+innerWidth+marginRight, height)
	c.printf("%s", style)
	c.printf("<title>%s</title>\n", escaped(s.title()))
	c.printf(`<text x="10" y="20">%s</text>`+"\n", escaped(s.title()))

	for i := range ticks + 1 {
		at := c.end * time.Duration(i) / ticks
		c.printf(`<line class="tick" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d">%v</text>`+"\n",
			c.x(at), c.x(at), marginTop-10, height, c.x(at), marginTop-14, rounded(at))
	}

	for i, node := range s.nodes {
		c.lanes[node] = i
		c.printf(`<line class="lane" x1="%d" x2="%d" y1="%d" y2="%d"/><text x="10" y="%d">%s</text>`+"\n",
			marginLeft, marginLeft+innerWidth, c.y(node), c.y(node), c.y(node)+4, escaped(node))
	}

	for _, h := range s.hops {
		c.hop(h)
	}

	for _, m := range s.marks {
		c.mark(m)
	}

	c.printf("</svg>\n")

	return c.Flush()
}

// title says what the picture is of.
func (s *story) title() string {
	text := fmt.Sprintf("%d nodes, %d packets in %v", len(s.nodes), len(s.hops), rounded(s.end))
	if s.dropped > 0 {
		text += fmt.Sprintf(", %d events left out", s.dropped)
	}

	return text
}

// x returns where a moment is, and y where a node is.
func (c *canvas) x(at time.Duration) float64 {
	return marginLeft + innerWidth*float64(at)/float64(c.end)
}

func (c *canvas) y(node string) int {
	return marginTop + laneHeight/2 + laneHeight*c.lanes[node]
}

// hop draws a packet. One that did not arrive ends half way.
func (c *canvas) hop(h hop) {
	x1, y1, x2, y2 := c.x(h.left), float64(c.y(h.from)), c.x(h.came), float64(c.y(h.to))
	class, end := "hop", fmt.Sprintf("in %v", rounded(h.came-h.left))

	if !h.arrived {
		class, end = "gone", "not seen to arrive"
		x2, y2 = x1, (y1+y2)/2
	}

	c.printf(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"><title>%s</title></line>`+"\n",
		class, x1, y1, x2, y2, escaped(fmt.Sprintf("%v: %s to %s, %s, %s",
			rounded(h.left), h.from, h.to, h.label(), end)))
}

// mark draws a dot.
func (c *canvas) mark(m mark) {
	class, radius := "news", 3

	switch {
	case m.isTrouble():
		class, radius = "trouble", 6
	case m.kind == Reached:
		class = "good"
	}

	c.printf(`<circle class="%s" cx="%.1f" cy="%d" r="%d"><title>%s</title></circle>`+"\n",
		class, c.x(m.at), c.y(m.node), radius, escaped(fmt.Sprintf("%v: %s: %s",
			rounded(m.at), m.node, m.label())))
}

// escaped returns a text as XML has it. Characters that XML does not know are left out.
func escaped(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return -1
		}

		return r
	}, strings.ToValidUTF8(text, "\uFFFD")))
}
