package protocol

import (
	"context"
	"fmt"
	"sync"
)

// window counts the messages that are under way to each destination, so that no more are sent than the nodes
// on the way hold.
type window struct {
	limit int

	mu    sync.Mutex
	under map[string]int
	// freed is closed when there is more room. It is nil while nobody waits for that.
	freed chan struct{}
}

// enter takes room for a message at each destination. It waits until all have room, or the
// context is done. It takes none in the second case.
func (w *window) enter(ctx context.Context, keys []string) error {
	for {
		freed, entered := w.tryEnter(keys)
		if entered {
			return nil
		}

		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("no room in the window: %w", context.Cause(ctx))
		}
	}
}

// tryEnter is enter without waiting. If there is no room it returns what is closed when there is more.
func (w *window) tryEnter(keys []string) (<-chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, key := range keys {
		if w.under[key] >= w.limit {
			if w.freed == nil {
				w.freed = make(chan struct{})
			}

			return w.freed, false
		}
	}

	for _, key := range keys {
		w.under[key]++
	}

	return nil, true
}

// leave gives the room of one destination back.
func (w *window) leave(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.under[key]--
	if w.under[key] == 0 {
		delete(w.under, key)
	}

	if w.freed != nil {
		close(w.freed)
		w.freed = nil
	}
}
