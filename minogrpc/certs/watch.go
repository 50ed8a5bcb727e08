package certs

import (
	"sync"

	"github.com/minogrpc/session/mino"
)

// Watchable is an optional interface of a [Storage]. It tells a node at once that a certificate was
// stored or deleted. The node then ends the connections with a node that it must not believe any more.
// With any other storage it notices up to 5 seconds later.
type Watchable interface {
	// Watch registers a function. Each Store and Delete that changes the storage calls it before it
	// returns, with the address in its follower form. The function may use the storage. Several
	// goroutines may call it at once. Changes after stop has returned do not call it. Stop may be
	// called more than once.
	Watch(changed func(mino.Address)) (stop func())
}

// watchers has the functions that Watch has registered. The zero value has none.
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

// tell calls the functions, without the lock.
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
