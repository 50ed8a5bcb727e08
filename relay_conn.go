package session

import (
	"context"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
)

// relayConn implements link.Conn with a relay, which may not be ours.
type relayConn struct {
	relay   Relay
	release func()
}

// Carry implements link.Conn.
func (c *relayConn) Carry(ctx context.Context, p *link.Parcel) (*ptypes.Ack, error) {
	own, ok := c.relay.(carrier)
	if ok {
		return own.carry(ctx, p)
	}

	ack, err := c.relay.Send(ctx, p.Packet)
	if ack == nil {
		ack = &ptypes.Ack{}
	}

	return ack, err
}

// Recv implements link.Conn.
func (c *relayConn) Recv() (*ptypes.Packet, error) {
	return recv(c.relay.Stream())
}

// Goodbye implements link.Conn. Only the opener of a stream waits for its end after a goodbye:
// at the other end the stream is over when its reader returns.
func (c *relayConn) Goodbye() bool {
	opener, err := contain.Call(func() (bool, error) {
		_, opener := c.relay.Stream().(interface{ CloseSend() error })

		return opener, c.relay.Close()
	})

	return err == nil && opener
}

// Release implements link.Conn.
func (c *relayConn) Release() {
	if c.release != nil {
		c.release()
	}
}

// recv reads from a stream that may not be ours.
func recv(stream PacketStream) (*ptypes.Packet, error) {
	return contain.Call(stream.Recv)
}
