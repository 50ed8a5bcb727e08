package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/minogrpc/debug"
)

// maxSnapshot is how many bytes of a snapshot are read.
const maxSnapshot = 64 << 20

// topOptions are what the subcommand is told.
type topOptions struct {
	// debug is the host and port of -debug.
	debug string
	every time.Duration
	// times is how often the table is printed, and zero for no end.
	times int
}

// top prints what the node knows about itself, again and again, until the context is done.
func top(ctx context.Context, stdout io.Writer, opts topOptions) error {
	var (
		s      = screen.New(stdout)
		client = &http.Client{Timeout: 10 * time.Second}
		ticker = time.NewTicker(opts.every)
		before *debug.Page
	)

	defer ticker.Stop()
	defer client.CloseIdleConnections()

	for i := 1; ; i++ {
		page, err := fetch(ctx, client, opts.debug)

		switch {
		case err == nil:
			s.Redraw(table(page, before))

			before = page
		case ctx.Err() != nil:
			return s.Err()
		case before == nil:
			return err
		default:
			// It may be started again.
			s.Redraw(err.Error() + "\n")
		}

		if i == opts.times {
			return errors.Join(err, s.Err())
		}

		select {
		case <-ctx.Done():
			return s.Err()
		case <-ticker.C:
		}
	}
}

// fetch asks the debug handler of a node for a snapshot.
func fetch(ctx context.Context, client *http.Client, addr string) (*debug.Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/snapshot.json", nil)
	if err != nil {
		return nil, fmt.Errorf("-debug: %w", err)
	}

	re, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no node answers at %s: %w", addr, err)
	}

	defer func() { _ = re.Body.Close() }() // all that is of interest has been read

	if re.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the node at %s says: %s", addr, re.Status)
	}

	var page debug.Page

	err = json.NewDecoder(io.LimitReader(re.Body, maxSnapshot)).Decode(&page)
	if err != nil {
		return nil, fmt.Errorf("read what the node at %s says: %w", addr, err)
	}

	return &page, nil
}
