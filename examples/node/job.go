package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// job is a count for one client. It implements words.Watcher.
type job struct {
	tell func(event)

	// players are those of the current request, and replies what has come from them.
	players []mino.Address
	replies map[mino.Address]words.Reply
}

// pause is how long the nodes rest before they count again.
const pause = time.Second

// count has the nodes that this one knows count the words of a folder, and returns the
// last event. Those before it are told.
func (n *node) count(ctx context.Context, what order, tell func(event)) event {
	sum, err := n.orchestrate(ctx, what, &job{tell: tell})
	if err != nil {
		return event{Error: err.Error()}
	}

	return event{Sum: &sum}
}

// orchestrate opens a stream to the nodes and has the words counted. This node is the root
// of the stream: it lasts whoever else is lost.
func (n *node) orchestrate(ctx context.Context, what order, j *job) (int, error) {
	end := time.Now().Add(what.For)

	files, err := words.List(os.DirFS(what.Count))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what.Count, err)
	}

	// The end of the context is the end of the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	players, _ := n.known() // what is damaged has been told at the start

	out, in, err := n.rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		return 0, err
	}

	o := words.Orchestrator{Dir: what.Count, Files: files, Out: out, In: in, Watcher: j}

	for {
		sum, err := o.Count(ctx, players)
		if err != nil || time.Until(end) < pause {
			return sum, err
		}

		j.tell(event{Sum: &sum, Again: true})

		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// known returns the nodes that this one knows, itself first and the others in the order
// of their addresses. Those whose certificate is damaged are left out, and the error says
// which.
func (n *node) known() ([]mino.Address, error) {
	me := n.GetAddress()
	addrs := []mino.Address{me}

	err := n.GetCertificateStore().Range(func(addr mino.Address, _ certs.CertChain) bool {
		if !addr.Equal(me) {
			addrs = append(addrs, session.FollowerOf(addr))
		}

		return true
	})

	slices.SortFunc(addrs[1:], func(a, b mino.Address) int { return cmp.Compare(a.String(), b.String()) })

	return addrs, err
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

// Waiting implements words.Watcher.
func (j *job) Waiting(players []mino.Address) {
	names := make([]string, len(players))
	for i, player := range players {
		names[i] = player.String()
	}

	j.tell(event{Waiting: names})
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
