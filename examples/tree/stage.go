package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/minogrpc/session/examples/internal/screen"
)

// refresh is how long a frame stays on a terminal while the nodes count.
const refresh = 80 * time.Millisecond

// stage shows the nodes to people: on a terminal as frames that follow each other, and elsewhere as lines.
type stage struct {
	screen *screen.Screen

	// live draws the frames. It is nil where there are lines.
	live *screen.Live

	// slow is how long a person has for something new.
	slow time.Duration

	// story is all that has been said on a terminal, where it does not stay.
	story []string

	// ended ends the goroutine that draws.
	ended  chan struct{}
	drawer sync.WaitGroup

	mu    sync.Mutex
	board board
}

// newStage returns a stage, which must be closed.
func newStage(out io.Writer, opts options) *stage {
	s := &stage{screen: screen.New(out), slow: opts.slow, ended: make(chan struct{})}
	if !opts.live {
		return s
	}

	s.live = screen.NewLive(out)

	s.drawer.Go(func() {
		ticker := time.NewTicker(refresh)
		defer ticker.Stop()

		for {
			select {
			case <-ticker.C:
				s.draw()
			case <-s.ended:
				return
			}
		}
	})

	return s
}

// draw draws a frame.
func (s *stage) draw() {
	width, height := screen.Size()
	s.drawIn(window{width, height, screen.Colours()})
}

func (s *stage) drawIn(w window) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if len(s.board.players) > 0 {
		s.live.Draw(s.board.frame(w))
	}
}

// set changes what is known. Observers call it, so that it must be quick.
func (s *stage) set(change func(b *board)) {
	s.mu.Lock()
	defer s.mu.Unlock()

	change(&s.board)
}

// look returns what is known now.
func look[T any](s *stage, at func(b *board) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()

	return at(&s.board)
}

// say tells what happens. On a terminal it leaves time to read it.
func (s *stage) say(ctx context.Context, text string) {
	if s.live == nil {
		s.screen.Printf("%s\n", text)

		return
	}

	s.story = append(s.story, text)
	s.pause(ctx, text)
}

// pause tells what happens where there is time to read it: on a terminal.
func (s *stage) pause(ctx context.Context, text string) {
	if s.live == nil {
		return
	}

	s.set(func(b *board) { b.news = strings.TrimSpace(text) })
	s.draw()
	wait(ctx, s.slow/2)
}

// table prints what has become of a request, where there are lines.
func (s *stage) table(causes map[string]string) {
	if s.live == nil {
		s.screen.Printf("%s", look(s, func(b *board) string { return b.table(causes) }))
	}
}

// wait returns after a while, or when the context is done.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}

	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// close leaves the last frame on the terminal, with all players and all that has been said, and returns the errors of
// the writes.
func (s *stage) close() error {
	close(s.ended)
	s.drawer.Wait()

	if s.live == nil {
		return s.screen.Err()
	}

	width, _ := screen.Size()
	s.set(func(b *board) { b.news = "" })
	s.drawIn(window{width, len(s.board.players) + besides, screen.Colours()})

	err := s.live.Close()

	s.screen.Printf("\n%s\n", strings.Join(s.story, "\n"))

	return errors.Join(err, s.screen.Err())
}
