package host

import (
	"context"
	"errors"
	"io"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/metadata"
)

// What a stream does for the node as a player.
const (
	taskHandler  = "handler"
	taskRelaying = "relaying" // Before the handler, and after it.
)

// taskCall is the handler of a call.
const taskCall = "call handler"

// newStream returns the node's part in a stream that it does not know yet, and
// starts the goroutine that runs the handler.
func (h *Host) newStream(in *incoming) (*stream, error) {
	tag := tagOf(in.md)
	md := metadata.Pairs(session.URIKey, in.key.uri, session.StreamIDKey, in.key.id, session.ProtocolKey, tag)
	in.nameOrchestrator(md)

	if len(in.md.Get(session.NewsKey)) > 0 {
		md.Set(session.NewsKey, newsWanted)
	}

	if h.policy.Lineage != AnyParent {
		in.nameAncestors(md)
	}

	st := newStream(in.key, h.lineageOf(in), h.newSession(md, h.me, in.procedure))
	st.info = h.infoOf(in, tag)
	task := Task{Name: taskRelaying, Procedure: in.key.uri, Stream: in.key.id}

	if !h.tasks.start(task, func(r *running) { h.takePart(st, in.procedure, r) }) {
		st.Close()

		return nil, ErrStopped
	}

	return st, nil
}

// heard returns the error of a handler, after it has been asked for all that it will be
// asked for. An error that panics does so here, where that is contained.
func heard(err error) error {
	if err != nil {
		_, _ = err.Error(), errors.Is(err, io.EOF)
	}

	return err
}

// takePart runs the handler of a stream, once there is a parent, and lasts as long
// as the session.
func (h *Host) takePart(st *stream, p *Procedure, r *running) {
	st.task.Store(r)

	stop := context.AfterFunc(h.life.closing, func() { st.Leave(leftError{}) })
	defer stop()

	select {
	case <-st.started:
	case <-st.Done():
	}

	// A parent that has been accepted gets a handler, also when it has gone since.
	if isClosed(st.started) {
		r.rename(taskHandler)

		info := st.streamInfo()

		err := h.observed(info, func() error { return heard(h.play(st, p)) })
		if err != nil && !errors.Is(err, io.EOF) {
			log := info.Logger(h.logger)
			log.Warn().Err(err).Msg("handler failed")
		}

		r.rename(taskRelaying)
		st.handlerEnded(err)
	}

	<-st.Done()
}
