package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
)

// job is a count for one client. It implements words.Watcher.
type job struct {
	out *json.Encoder

	// players are those of the current request, and replies what has come from them.
	players []mino.Address
	replies map[mino.Address]words.Reply
}

// count has the nodes that this one knows count the words of a folder, and returns the
// last event. Those before go to out.
func (n *node) count(ctx context.Context, dir string, out *json.Encoder) event {
	sum, err := n.orchestrate(ctx, dir, &job{out: out})
	if err != nil {
		return event{Error: err.Error()}
	}

	return event{Sum: &sum}
}

// orchestrate opens a stream to the nodes and has the words counted. This node is the root
// of the stream: it lasts whoever else is lost.
func (n *node) orchestrate(ctx context.Context, dir string, watcher words.Watcher) (int, error) {
	files, err := words.List(os.DirFS(dir))
	if err != nil {
		return 0, err
	}

	// The end of the context is the end of the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	players, _ := n.known() // what is damaged has been told at the start

	out, in, err := n.rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		return 0, err
	}

	o := words.Orchestrator{Dir: dir, Files: files, Out: out, In: in, Watcher: watcher}

	return o.Count(ctx, players)
}

// Asking implements words.Watcher.
func (j *job) Asking(players []mino.Address, files int) {
	j.players = players
	j.replies = make(map[mino.Address]words.Reply)

	j.tell(event{Asking: &asking{Nodes: len(players), Files: files}})
}

// Counted implements words.Watcher.
func (j *job) Counted(player mino.Address, re words.Reply, done, all, sum int) {
	j.replies[player] = re

	j.tell(event{Counted: &counted{
		Node: player.String(), Files: re.Files, Words: re.Words, Done: done, All: all, Sum: sum,
	}})
}

// Outcomes implements words.Watcher.
func (j *job) Outcomes(lost words.Lost) {
	rows := make([]row, len(j.players))

	for i, player := range j.players {
		re := j.replies[player]
		rows[i] = row{Node: player.String(), Outcome: "delivered", Files: re.Files, Words: re.Words}

		failure := lost[player]
		if failure != nil {
			rows[i].Outcome = failure.Reason.String()
			rows[i].Hop = fmt.Sprint(failure.Hop)
			rows[i].Cause = failure.Cause.Error()
		}
	}

	j.tell(event{Outcomes: rows})
}

// tell sends an event. A client that is gone ends the job.
func (j *job) tell(e event) {
	_ = j.out.Encode(e)
}
