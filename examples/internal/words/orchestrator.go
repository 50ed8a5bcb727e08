package words

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// ErrSum is the failure of the check.
var ErrSum = errors.New("the replies do not add up to the orchestrator's own count")

// Lost are the players that a request has not reached, by their follower form, each
// with the outcome that said so.
type Lost map[mino.Address]*session.DeliveryError

// Watcher is told how a count goes on, one call at a time. The addresses are those that
// were given to [Orchestrator.Count].
type Watcher interface {
	// Asking tells that the players are about to be sent a request about so many
	// files. There is another one if not all of them are reached.
	Asking(players []mino.Address, files int)

	// Counted tells that a player has replied. It is the last of done until now, and all
	// is how many there will be as far as the outcomes are known. The sum is that of the
	// words in all replies.
	Counted(player mino.Address, re Reply, done, all, sum int)

	// Waiting tells, after each second without a reply, which players are waited for.
	Waiting(players []mino.Address)

	// Outcomes tells that nobody has to be waited for any more: each of the players has
	// replied, but for those that are lost.
	Outcomes(lost Lost)
}

// Orchestrator has the files of a folder counted by the players of a stream. It must
// not be used from several goroutines at once.
type Orchestrator struct {
	// Dir is the folder, which every player finds under this name, and Files are those
	// in it that are counted; see [List].
	Dir   string
	Files []string

	// Out and In are the two halves of the stream.
	Out mino.Sender
	In  mino.Receiver

	Watcher Watcher

	// last is the number of the last request, and sum what has been counted since the
	// files were last all to do.
	last, sum int
}

// Count asks the players, in their follower form, until somebody has counted every
// file. It returns the number of words; an error when nobody is reached, when a player
// cannot count or when the context ends; and one that wraps [ErrSum] when the sum is
// not what this process counts itself.
func (o *Orchestrator) Count(ctx context.Context, players []mino.Address) (int, error) {
	ctx, cancel := context.WithCancel(ctx)

	var receiver sync.WaitGroup

	replies := make(chan reception)

	receiver.Go(func() { o.receive(ctx, replies) })
	defer receiver.Wait()
	defer cancel()

	o.sum = 0

	for files := o.Files; len(files) > 0; {
		var err error

		files, players, err = o.ask(ctx, files, players, replies)
		if err != nil {
			return 0, err
		}
	}

	return o.sum, o.check()
}

// reception is a reply, or the last error of Recv.
type reception struct {
	from  mino.Address
	reply *Reply
	err   error
}

// receive hands over the replies, and the errors, until the stream ends. What comes after the end of a
// count is late, and nobody misses it.
func (o *Orchestrator) receive(ctx context.Context, replies chan<- reception) {
	for {
		from, msg, err := o.In.Recv(ctx)

		m, ok := msg.(message)
		if err == nil && (!ok || m.Reply == nil) {
			continue
		}

		select {
		case replies <- reception{from: from, reply: m.Reply, err: err}:
		case <-ctx.Done():
			return
		}

		if err != nil && !isUnreadable(err) {
			return
		}
	}
}

// ask sends a request to the players and collects the replies. It returns the files
// that nobody has counted, because the message did not reach their player, and the
// players that it did reach.
func (o *Orchestrator) ask(ctx context.Context, files []string, players []mino.Address, replies <-chan reception,
) (missing []string, reached []mino.Address, err error) {
	o.Watcher.Asking(players, len(files))

	r := o.newRound(players)

	err = r.play(ctx, files, replies)
	if err != nil {
		return nil, nil, err
	}

	o.Watcher.Outcomes(r.lost)

	for i, player := range players {
		if r.lost[player] == nil {
			reached = append(reached, player)
		} else {
			missing = append(missing, share(files, i, len(players))...)
		}
	}

	if len(reached) == 0 {
		return nil, nil, fmt.Errorf("nobody was reached: %w", r.lost[players[0]])
	}

	return missing, reached, nil
}

// check compares the sum with what the orchestrator counts itself.
func (o *Orchestrator) check() error {
	own, err := countAll(Count, os.DirFS(o.Dir), o.Files)
	if err != nil {
		return err
	}

	if o.sum != own {
		return fmt.Errorf("%w: %d instead of %d", ErrSum, o.sum, own)
	}

	return nil
}
