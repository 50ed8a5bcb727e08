package host

import (
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// callerStream is the stream of a parent. It sends the header before anything else: the session may send
// a packet as soon as it has registered the parent.
type callerStream struct {
	grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]

	account  Account
	maxFrame int
	once     sync.Once

	// duplex is the relay over the stream of a duplex link, which sends the header itself. It is nil
	// for any other stream.
	duplex *session.DuplexRelay
}

// accept sends the header. If that fails the stream is over, which its readers and writers notice.
func (s *callerStream) accept() {
	if s.duplex != nil {
		_ = s.duplex.Accept()
	} else {
		s.once.Do(func() { _ = s.SendHeader(nil) })
	}
}

// Send implements session.PacketStream.
func (s *callerStream) Send(p *ptypes.Packet) error {
	if err := checkFrame(p, s.maxFrame); err != nil {
		return err
	}

	s.accept()

	return s.BidiStreamingServer.Send(p)
}

// Connected implements session.ConnectedStream. It is false for a stream that does not know its
// connection, which might be lost.
func (s *callerStream) Connected() bool {
	own, ok := s.BidiStreamingServer.(session.ConnectedStream)

	return ok && own.Connected()
}

// Broken implements session.BrokenStream. It is nil for a stream that does not know its connection.
func (s *callerStream) Broken() error {
	own, ok := s.BidiStreamingServer.(session.BrokenStream)
	if !ok {
		return nil
	}

	return own.Broken()
}

// Reads implements session.MeteredStream. It returns the zero time for a stream that does not know.
func (s *callerStream) Reads() (bytes uint64, last time.Time) {
	own, ok := s.BidiStreamingServer.(session.MeteredStream)
	if !ok {
		return 0, time.Time{}
	}

	return own.Reads()
}

// checkFrame returns an error with a status for a packet that is too large for a stream. If gRPC refused
// the packet instead, the whole stream would be over.
func checkFrame(p *ptypes.Packet, limit int) error {
	if size := proto.Size(p); size > limit {
		return status.Errorf(codes.InvalidArgument, "packet of %d bytes is larger than %d", size, limit)
	}

	return nil
}
