package message

import "sync"

const (
	// maxKnown is the number of addresses that a router remembers: enough for the
	// nodes of a large network, and a few megabytes at most.
	maxKnown = 16_384

	// maxKnownText is the length in bytes of the longest text that is remembered,
	// which no name of a host exceeds.
	maxKnownText = 300
)

// cache remembers the addresses that have passed the checks, because it is the same
// few that come and go with every packet. They may come from anyone, so that it
// has a bound in both directions; past it, it starts over. It may be used from
// several goroutines at once.
type cache struct {
	mu     sync.RWMutex
	byText map[string]Player
}

// get returns what is known by the text, without an allocation.
func (c *cache) get(text []byte) (Player, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()

	known, found := c.byText[string(text)]

	return known, found
}

// put remembers an address, unless its text is too long.
func (c *cache) put(p Player) {
	if len(p.Text) > maxKnownText {
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	if c.byText == nil || len(c.byText) >= maxKnown {
		c.byText = make(map[string]Player)
	}

	c.byText[p.Text] = p
}
