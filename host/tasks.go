package host

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// namedTasks is how many tasks a RunningError names.
const namedTasks = 10

// Task is a goroutine that a host runs, or a call that it serves.
type Task struct {
	// Name says what the task is, such as "handler" or "call handler".
	Name string

	// Procedure is the URI of the procedure of the task, and Stream the id of its stream. Either may be
	// empty.
	Procedure, Stream string

	// Since is when the task has begun. The host sets it.
	Since time.Time
}

// RunningError is the error of a stop that some tasks have outlived. Usually that is a handler that does
// not return when its stream ends.
type RunningError struct {
	// Oldest has the tasks that have run longest, at most ten. More is the number of the other ones.
	Oldest []Task
	More   int

	// At is the time of the error. The text of the error counts the ages of the tasks until then.
	At time.Time
}

// Error implements error. It names each task with its procedure, its stream and its age.
func (e *RunningError) Error() string {
	var b strings.Builder

	if all := len(e.Oldest) + e.More; all == 1 {
		b.WriteString("1 task of the node has not ended: ")
	} else {
		fmt.Fprintf(&b, "%d tasks of the node have not ended: ", all)
	}

	for i, task := range e.Oldest {
		if i > 0 {
			b.WriteString(", ")
		}

		b.WriteString(task.Name)

		if task.Procedure != "" {
			fmt.Fprintf(&b, " of %q", task.Procedure)
		}

		if task.Stream != "" {
			fmt.Fprintf(&b, " in stream %q", task.Stream)
		}

		fmt.Fprintf(&b, " for %v", e.At.Sub(task.Since).Round(time.Millisecond))
	}

	if e.More > 0 {
		fmt.Fprintf(&b, ", and %d more", e.More)
	}

	return b.String()
}

// tasks starts the goroutines of a host and knows when the last one has ended. A sync.WaitGroup would not
// do: it cannot refuse a task, and a caller could not stop waiting for it.
type tasks struct {
	// idle is closed once the tasks are shut and none of them runs.
	idle chan struct{}

	mu      sync.Mutex
	running map[*running]struct{}
	shut    bool
}

// running is a task from its begin to its end.
type running struct {
	tasks *tasks
	// task and renamed, when it got its present name, are guarded by the mutex of the tasks.
	task    Task
	renamed time.Time
}

func newTasks() *tasks {
	return &tasks{idle: make(chan struct{}), running: make(map[*running]struct{})}
}

// begin notes a task, which runs until its end is called. It returns nil once the tasks are shut.
func (t *tasks) begin(task Task) *running {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.shut {
		return nil
	}

	task.Since = time.Now()
	r := &running{tasks: t, task: task}
	t.running[r] = struct{}{}

	return r
}

// end notes that the task has ended.
func (r *running) end() {
	r.tasks.mu.Lock()
	defer r.tasks.mu.Unlock()

	delete(r.tasks.running, r)
	r.tasks.closeIdleLocked()
}

// rename changes the name of the task.
func (r *running) rename(name string) {
	r.tasks.mu.Lock()
	defer r.tasks.mu.Unlock()

	r.task.Name = name
	r.renamed = time.Now()
}

// start runs the function in a goroutine. Once the tasks are shut it returns false, and does nothing.
func (t *tasks) start(task Task, fn func(*running)) bool {
	r := t.begin(task)
	if r == nil {
		return false
	}

	go func() {
		defer r.end()

		fn(r)
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

// left returns a RunningError of the tasks that still run, or nil.
func (t *tasks) left() error {
	t.mu.Lock()
	defer t.mu.Unlock()

	if len(t.running) == 0 {
		return nil
	}

	all := make([]Task, 0, len(t.running))
	for r := range t.running {
		all = append(all, r.task)
	}

	slices.SortFunc(all, func(a, b Task) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Procedure, b.Procedure), cmp.Compare(a.Stream, b.Stream))
	})

	named := min(len(all), namedTasks)

	return &RunningError{Oldest: all[:named:named], More: len(all) - named, At: time.Now()}
}

func (t *tasks) closeIdleLocked() {
	if t.shut && len(t.running) == 0 {
		close(t.idle)
	}
}
