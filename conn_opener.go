package session

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/opening"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// ConnOpener returns a [StreamOpener] for the streams to one node, over connections of the manager.
// The metadata are those of the stream, without an offer. Calls to an existing node carry only the
// procedure, the stream and the gateway from them.
//
// The opener returns when its context is done, even if the node accepts the stream and sends no
// header. The stream outlives that context: it ends with its Release. If an attempt has taken all
// its time, or the connection could not be made, the next attempt gets a new connection, provided
// that the manager is a [ConnectionReplacer] or a [ConnectionEvictor]. A connection of a [ConnManager]
// stays if bytes still come over it: the node is slow, and others use the connection.
func ConnOpener(conns ConnectionManager, addr mino.Address, md metadata.MD) StreamOpener {
	o := connOpener{conns: conns, addr: addr, md: md.Copy(), calls: make(metadata.MD)}

	for _, key := range []string{URIKey, StreamIDKey, GatewayKey} {
		if values := md.Get(key); len(values) > 0 {
			o.calls.Set(key, values...)
		}
	}

	return o.open
}

// connOpener does not change, and may be used from several goroutines at once.
type connOpener struct {
	conns ConnectionManager
	addr  mino.Address

	// md are the metadata of the streams, and calls those of calls.
	md, calls metadata.MD
}

// open implements StreamOpener. A stream that ended with the set-up could not say goodbye later on.
func (o connOpener) open(setup context.Context, offered metadata.MD) (OpenStream, error) {
	began := time.Now()
	opened, err := o.over(context.WithoutCancel(setup), setup, offered)

	switch {
	case err == nil:
		return opened, nil
	case opened.Conn == nil:
		return OpenStream{}, err
	case setup.Err() != nil:
		err = context.Cause(setup)
	}

	// A caller that gives up says nothing about the connection, which others use, too.
	if errors.Is(err, context.DeadlineExceeded) && !isAlive(opened.Conn, began) || opening.Failed(opened.Conn) {
		_ = contain.Do(opened.Evict) // The attempt has failed already.
	}

	opened.Release()

	return OpenStream{}, err
}

// over opens a stream that lasts until it is released or life is over. setup bounds how long the opening
// takes. If there is a Conn in spite of an error, the caller has to call Release, and may call Evict.
func (o connOpener) over(life, setup context.Context, offered metadata.MD) (OpenStream, error) {
	opened, err := o.acquire()
	if err != nil {
		return OpenStream{}, err
	}

	ctx, cancel := context.WithCancel(life)
	opened.Release = func() {
		cancel()
		o.conns.Release(o.addr)
	}

	// A deadline on the context of the stream would end the stream later on.
	stop := context.AfterFunc(setup, cancel)

	opened.Stream, opened.Header, err = opening.Stream(o.outgoing(ctx, offered), opened.Conn)
	if !stop() && err == nil {
		err = context.Cause(setup)
	}

	return opened, err
}

// acquire returns the connection of a stream that is not open yet. Its Release only gives that back.
func (o connOpener) acquire() (OpenStream, error) {
	conn, err := o.conns.Acquire(o.addr)
	if err != nil {
		return OpenStream{}, err
	}

	return OpenStream{
		Conn:    conn,
		Calls:   o.calls,
		Release: func() { o.conns.Release(o.addr) },
		Evict:   func() { evictConn(o.conns, o.addr, conn) },
	}, nil
}

// outgoing returns the context of a stream with its metadata.
func (o connOpener) outgoing(ctx context.Context, offered metadata.MD) context.Context {
	var pairs []string

	for key, values := range offered {
		for _, value := range values {
			pairs = append(pairs, key, value)
		}
	}

	return metadata.AppendToOutgoingContext(metadata.NewOutgoingContext(ctx, o.md), pairs...)
}

// evictConn gives up a connection that may only look alive. A manager that can do so keeps another
// one that has replaced it by now.
func evictConn(conns ConnectionManager, addr mino.Address, conn grpc.ClientConnInterface) {
	switch own := conns.(type) {
	case ConnectionReplacer:
		own.Replace(addr, conn)
	case ConnectionEvictor:
		own.Evict(addr)
	}
}
