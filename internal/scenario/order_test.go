package scenario_test

import "github.com/minogrpc/session/internal/scenario"

// flow is what arrives in the order in which it was sent: from one session to another,
// and on links that need calls only the messages of one send, if they are awaited.
type flow struct {
	from any
	to   string
	life int
}

// checkOrder checks that what was sent in an order has arrived in it.
//
// Promise M2.
func (w *world) checkOrder() {
	type sent struct {
		*attempt

		by *sending
	}

	all := make(map[string]sent)

	for _, s := range w.sendings {
		for _, x := range s.each {
			all[x.label] = sent{attempt: x, by: s}
		}
	}

	last := make(map[flow]sent)

	for name, receipts := range w.book.receipts {
		for _, r := range receipts {
			x, found := all[r.text]
			if !found || x.by.From != r.from {
				continue // An echo.
			}

			f := flow{from: x.by.from, to: name, life: r.life}

			switch {
			case w.links == scenario.Duplex && len(w.sc.Existing) == 0:
			case x.by.Awaited:
				f.from = x.by
			default:
				continue
			}

			if before := last[f]; before.attempt != nil && before.number > x.number {
				w.failf(x.by.line, "%s to %q: it has arrived after %s", x.label, name, before.label)
			}

			last[f] = x
		}
	}
}
