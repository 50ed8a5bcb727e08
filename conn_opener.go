package session

import (
	"context"
	"errors"

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
// that the manager is a [ConnectionReplacer] or a [ConnectionEvictor].
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

// open implements StreamOpener.
func (o connOpener) open(setup context.Context, offered metadata.MD) (OpenStream, error) {
	conn, err := o.conns.Acquire(o.addr)
	if err != nil {
		return OpenStream{}, err
	}

	// A stream that ended with the set-up could not say goodbye later on.
	ctx, cancel := context.WithCancel(context.WithoutCancel(setup))
	release := func() {
		cancel()
		o.conns.Release(o.addr)
	}
	evict := func() { evictConn(o.conns, o.addr, conn) }

	stop := context.AfterFunc(setup, cancel)
	md := metadata.Join(o.md, offered)

	stream, header, err := opening.Stream(metadata.NewOutgoingContext(ctx, md), conn)
	if !stop() {
		err = context.Cause(setup)
	}

	if err != nil {
		// A caller that gives up says nothing about the connection, which others use, too.
		if errors.Is(err, context.DeadlineExceeded) || opening.Failed(conn) {
			_ = contain.Do(evict) // The attempt has failed already.
		}

		release()

		return OpenStream{}, err
	}

	return OpenStream{Stream: stream, Header: header, Conn: conn, Calls: o.calls, Release: release, Evict: evict}, nil
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
