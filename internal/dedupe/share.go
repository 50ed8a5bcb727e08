package dedupe

import "github.com/minogrpc/session/internal/memory"

// share is what has come from one neighbour: its sources, in the order of their last packets. They
// are a ring with the share itself in it.
type share struct {
	sources map[uint64]*source
	ring    source
	// held counts the senders.
	held int
}

// source is one of those in whose name the neighbour has sent.
type source struct {
	sum uint64
	// origins are the sessions of the source, the one with the newest packet last.
	origins []held
	// The source before had its last packet earlier.
	before, after *source
}

// held is a sender in a share.
type held struct {
	origin string
	window *window
	// account is the one that the sender is counted in, with that cost.
	account *memory.Budget
	cost    int
}

func newShare() *share {
	sh := &share{sources: make(map[uint64]*source)}
	sh.ring.before, sh.ring.after = &sh.ring, &sh.ring

	return sh
}

// newest makes a sender the newest, and returns its window. It returns nil when the share does not
// have it.
func (sh *share) newest(sum uint64, origin []byte) *window {
	if sh.sources[sum] == nil {
		return nil
	}

	return sh.touch(sum).touch(origin)
}

// touch returns a source, and makes it the newest.
func (sh *share) touch(sum uint64) *source {
	src := sh.sources[sum]

	switch {
	case src == nil:
		src = &source{sum: sum}
		sh.sources[sum] = src
	case sh.ring.before == src:
		return src
	default:
		src.unlink()
	}

	src.before, src.after = sh.ring.before, &sh.ring
	src.before.after, src.after.before = src, src

	return src
}

// oldest returns the source that has been quiet for the longest time. There must be one.
func (sh *share) oldest() *source {
	return sh.ring.after
}

// remove forgets a source.
func (sh *share) remove(src *source) {
	src.unlink()
	delete(sh.sources, src.sum)
}

func (src *source) unlink() {
	src.before.after, src.after.before = src.after, src.before
}

// touch returns the window of an origin, and makes the origin the newest. It returns nil when the
// share does not have it.
func (src *source) touch(origin []byte) *window {
	last := len(src.origins) - 1

	for i := last; i >= 0; i-- {
		h := src.origins[i]
		if h.origin != string(origin) {
			continue
		}

		copy(src.origins[i:], src.origins[i+1:])
		src.origins[last] = h

		return h.window
	}

	return nil
}
