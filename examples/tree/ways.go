package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/traffic"
)

// ways has what the nodes observe: which way the messages take, so that the tree is drawn as it was and not as it
// should be.
type ways struct {
	// record has all that the nodes have done.
	record *traffic.Record

	// changed has room for one note that a node has another neighbour, or has lost one.
	changed chan struct{}
}

func newWays(names func(string) string) *ways {
	return &ways{record: traffic.NewRecord(traffic.WithNames(names)), changed: make(chan struct{}, 1)}
}

// picture returns the file for a timeline, or nil if there is no name for it. Nobody watches the nodes to the end, only
// to hear that it cannot be written.
func (*ways) picture(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}

	file, err := os.Create(name) //nolint:gosec // The user of the command chooses the file.
	if err != nil {
		return nil, fmt.Errorf("-picture: %w", err)
	}

	return file, nil
}

// draw writes a timeline to a file, if there is one.
func (w *ways) draw(file *os.File) error {
	if file == nil {
		return nil
	}

	return errors.Join(w.record.WriteSVG(file), file.Close())
}

// await returns when it is done, which it looks at whenever a node has another neighbour. It returns an error when
// the context is done first.
func (w *ways) await(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-w.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}

	return nil
}

// notify notes that a node has another neighbour, or has lost one.
func (w *ways) notify(session.StreamInfo, mino.Address) {
	select {
	case w.changed <- struct{}{}:
	default: // It is noted.
	}
}

// observer returns the observer for the sessions of a node.
func (d *demo) observer(index int) session.Observer {
	return session.Observer{
		RelayOpened: d.ways.notify,
		RelayBroken: func(_ session.StreamInfo, peer mino.Address, _ error) {
			d.stage.set(func(b *board) { b.lose(index, b.at(peer)) })
		},
		RelayResumed: func(_ session.StreamInfo, peer mino.Address) {
			d.stage.set(func(b *board) { b.regain(index, b.at(peer)) })
		},
		RelayLost: func(s session.StreamInfo, peer mino.Address, _ error) { d.ways.notify(s, peer) },
		PacketReceived: func(_ session.StreamInfo, from mino.Address, info session.PacketInfo) {
			if !isOrchestrator(info.Source) {
				return
			}

			d.stage.set(func(b *board) { b.reach(index, b.at(from)) })
		},
	}
}

// isOrchestrator tells whether an address is that of the orchestrator, of which there is one here.
func isOrchestrator(addr mino.Address) bool {
	return addr.Equal(session.NewOrchestratorAddress(addr))
}

// handlerObserver counts the handlers of a node.
func (d *demo) handlerObserver(index int) minogrpc.Observer {
	return minogrpc.Observer{HandlerStarted: func(session.StreamInfo) { d.handlers[index].Add(1) }}
}
