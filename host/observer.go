package host

import (
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/hook"
)

// Observer is told what the handlers of a host do. Both fields may be nil, and cost nothing then. The
// functions are called in the goroutine of the handler, several at once: they must be quick. The host
// contains and logs a panic in one of them.
type Observer struct {
	// HandlerStarted is called just before the handler of a stream or of a call. In a call the stream
	// has no id.
	HandlerStarted func(stream session.StreamInfo)

	// HandlerEnded is called when the handler has returned, with its error and how long it took. The
	// error of a panic says so.
	HandlerEnded func(stream session.StreamInfo, err error, took time.Duration)
}

// WithObserver adds an observer of what the handlers do. Several observers are told in the order of the
// options.
func WithObserver(observer Observer) Option {
	return optionFunc(func(c *config) { c.observer = c.observer.join(observer) })
}

// join returns an observer that tells both, this one first.
func (o Observer) join(next Observer) Observer {
	return Observer{
		HandlerStarted: hook.Join1(o.HandlerStarted, next.HandlerStarted),
		HandlerEnded:   hook.Join3(o.HandlerEnded, next.HandlerEnded),
	}
}

// observed runs a handler, contains it, and tells the observer.
func (h *Host) observed(stream session.StreamInfo, handler func() error) error {
	if h.observer.HandlerStarted == nil && h.observer.HandlerEnded == nil {
		return h.contain(stream, handler)
	}

	if started := h.observer.HandlerStarted; started != nil {
		h.tell(stream, func() { started(stream) })
	}

	begun := time.Now()
	err := h.contain(stream, handler)

	if ended := h.observer.HandlerEnded; ended != nil {
		h.tell(stream, func() { ended(stream, err, time.Since(begun)) })
	}

	return err
}

// tell calls a function of the observer.
func (h *Host) tell(stream session.StreamInfo, call func()) {
	_ = h.contain(stream, func() error {
		call()

		return nil
	})
}

// streamInfo says which stream it is.
func (st *stream) streamInfo() session.StreamInfo {
	return session.StreamInfo{
		Node: st.info.Address, Procedure: st.info.Procedure, Stream: st.info.Stream, Protocol: st.info.Protocol,
	}
}
