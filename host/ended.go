package host

import "time"

const (
	// endedLimit and endedAge are how many of the streams that have ended a node
	// remembers, and for how long.
	endedLimit = 100_000
	endedAge   = 10 * time.Minute
)

// streamKey names a stream on a node.
type streamKey struct {
	uri string
	id  string
}

// endedStreams remembers the streams that have ended, the oldest of which it
// forgets first. The zero value is empty. It is not safe for concurrent use.
type endedStreams struct {
	keys map[streamKey]struct{}
	// order has the same keys as they came, which is the order of their times.
	order []endedStream
}

type endedStream struct {
	key streamKey
	at  time.Time
}

// add remembers a stream that was not yet there.
func (e *endedStreams) add(key streamKey, now time.Time) {
	e.forget(now)

	if e.keys == nil {
		e.keys = make(map[streamKey]struct{})
	}

	e.keys[key] = struct{}{}
	e.order = append(e.order, endedStream{key: key, at: now})
}

// has tells whether the stream is remembered.
func (e *endedStreams) has(key streamKey, now time.Time) bool {
	e.forget(now)

	_, found := e.keys[key]

	return found
}

// forget drops what is too old, and makes room for one more.
func (e *endedStreams) forget(now time.Time) {
	for len(e.order) > 0 && (len(e.order) >= endedLimit || now.Sub(e.order[0].at) > endedAge) {
		delete(e.keys, e.order[0].key)
		// The rest of the slice keeps the array alive until append moves it.
		e.order[0] = endedStream{}
		e.order = e.order[1:]
	}
}
