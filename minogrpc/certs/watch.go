package certs

import (
	"sync"

	"github.com/minogrpc/session/mino"
)

// Watchable is what a [Storage] may implement beside it. A node then learns at once that a
// certificate was stored or deleted, and ends the connections of a node that it must not believe
// any more. With any other storage it notices some seconds later.
type Watchable interface {
	// Watch has the function called after each Store and Delete that changed something, with
	// the address in its follower form, before that call returns. The function may use the
	// storage, and may be called from several goroutines at once. It is not called any more for
	// changes after stop has returned. Stop may be called more than once.
	Watch(changed func(mino.Address)) (stop func())
}

// watchers are the functions that want to know of changes. The zero value has none.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]struct{}
}

type watcher struct {
	changed func(mino.Address)
}

// watch is Watch of a storage.
func (w *watchers) watch(changed func(mino.Address)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if w.all == nil {
		w.all = make(map[*watcher]struct{})
	}

	one := &watcher{changed: changed}
	w.all[one] = struct{}{}

	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()

		delete(w.all, one)
	}
}

// tell calls the functions. No lock is held meanwhile.
func (w *watchers) tell(addr mino.Address) {
	w.mu.Lock()

	all := make([]*watcher, 0, len(w.all))
	for one := range w.all {
		all = append(all, one)
	}

	w.mu.Unlock()

	for _, one := range all {
		one.changed(addr)
	}
}
