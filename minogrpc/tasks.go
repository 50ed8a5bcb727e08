package minogrpc

import "sync"

// tasks starts the goroutines of a node and knows when the last one has ended. A
// sync.WaitGroup would not do: it cannot refuse, and nobody can stop waiting for
// it.
type tasks struct {
	// idle is closed once the tasks are shut and none is running.
	idle chan struct{}

	mu      sync.Mutex
	running int
	shut    bool
}

func newTasks() *tasks {
	return &tasks{idle: make(chan struct{})}
}

// start runs the function in a goroutine. It returns false, and does nothing, once
// the tasks are shut.
func (t *tasks) start(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.shut {
		return false
	}

	t.running++

	go func() {
		defer t.end()

		fn()
	}()

	return true
}

// close lets no further task start. It may be called once.
func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.shut = true
	t.closeIdleLocked()
}

// count returns the number of tasks that are running.
func (t *tasks) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.running
}

func (t *tasks) end() {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.running--
	t.closeIdleLocked()
}

func (t *tasks) closeIdleLocked() {
	if t.shut && t.running == 0 {
		close(t.idle)
	}
}
