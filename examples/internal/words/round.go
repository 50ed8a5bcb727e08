package words

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// patience is how long nobody has to reply before the watcher is told who is waited for.
const patience = time.Second

// round is one request of an orchestrator, and what comes of it.
type round struct {
	*Orchestrator

	players []mino.Address

	// waiting are the players who have not replied and are not lost.
	waiting []mino.Address
	lost    Lost
}

func (o *Orchestrator) newRound(players []mino.Address) *round {
	o.last++

	return &round{Orchestrator: o, players: players, waiting: slices.Clone(players), lost: make(Lost)}
}

// play sends the request and returns when nobody has to be waited for any more. It does
// not wait for all the outcomes first: a player that is silent would hold up what the
// others have replied.
func (r *round) play(ctx context.Context, files []string, replies <-chan reception) error {
	req, err := r.request(files)
	if err != nil {
		return err
	}

	outcomes := r.Out.Send(message{Request: req}, r.players...)

	quiet := time.NewTicker(patience)
	defer quiet.Stop()

	for err == nil && len(r.waiting) > 0 {
		select {
		case failure, open := <-outcomes:
			if open {
				err = r.lose(ctx, failure)
			} else {
				outcomes = nil // who is left has been reached, and will reply
			}
		case reply := <-replies:
			err = r.take(reply)
			quiet.Reset(patience)
		case <-quiet.C:
			r.Watcher.Waiting(slices.Clone(r.waiting))
		case <-ctx.Done():
			err = r.giveUp(context.Cause(ctx))
		}
	}

	return err
}

// request returns what the players are sent.
func (r *round) request(files []string) (*request, error) {
	req := &request{Round: r.last, Dir: r.Dir, Files: files}

	for _, player := range r.players {
		text, err := player.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("address of a player: %w", err)
		}

		req.Players = append(req.Players, string(text))
	}

	return req, nil
}

// lose notes that a player was not reached.
func (r *round) lose(ctx context.Context, err error) error {
	// Outcomes that are due to the end of the stream say nothing about the players.
	if ctx.Err() != nil {
		return r.giveUp(context.Cause(ctx))
	}

	failure, ok := errors.AsType[*session.DeliveryError](err)
	if !ok {
		return err
	}

	// Who has replied was reached, whatever became of the word of it.
	if r.strike(failure.Destination) {
		r.lost[failure.Destination] = failure
	}

	return nil
}

// take adds up a reply.
func (r *round) take(got reception) error {
	player := session.FollowerOf(got.from)

	switch {
	case isUnreadable(got.err):
		return fmt.Errorf("reply of %v: %w", player, got.err)
	case got.err != nil:
		return r.giveUp(got.err)
	}

	// If the player is not waited for, it has been given up: somebody else counts that.
	if got.reply.Round != r.last || !r.strike(player) {
		return nil
	}

	if got.reply.Error != "" {
		return fmt.Errorf("%v could not count: %s", player, got.reply.Error)
	}

	all := len(r.players) - len(r.lost)

	r.sum += got.reply.Words
	r.Watcher.Counted(player, *got.reply, all-len(r.waiting), all, r.sum)

	return nil
}

// giveUp returns the error of a request that nobody can reply to any more.
func (r *round) giveUp(cause error) error {
	return fmt.Errorf("wait for %d of %d players: %w", len(r.waiting), len(r.players), cause)
}

// strike takes a player from those who are waited for, and tells whether it was one.
func (r *round) strike(player mino.Address) bool {
	i := slices.Index(r.waiting, player)
	if i < 0 {
		return false
	}

	r.waiting = slices.Delete(r.waiting, i, i+1)

	return true
}
