package minogrpc

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// parent is a node that opens a stream to this one, as the session sees it.
type parent struct {
	relay session.Relay
	table router.RoutingTable

	// orchestrator is true for the one who began the stream.
	orchestrator bool

	// resumes is true for one who goes on with a link that has broken. It has a
	// routing table already.
	resumes bool

	// release gives back what the relay needs.
	release func()
}

// Stream makes the caller a parent of the stream that the metadata name, until the
// stream ends on either side. The header is sent when the parent is registered.
func (o *overlay) Stream(server grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	if err := o.refuseWhenStopped(); err != nil {
		return err
	}

	v := o.tally.visit(remoteHost(server.Context()))
	seat := &seat{free: []func(){v.end}}

	defer seat.leave()

	in, err := o.admit(server.Context(), v)
	if err != nil {
		return err
	}

	caller := &callerStream{BidiStreamingServer: server, visit: v, maxFrame: o.maxFrame()}

	par, err := o.newParent(in, caller)
	if err != nil {
		return err
	}

	seat.free = append(seat.free, par.release)

	st, err := o.streams.join(in.key, in.caller(), func() (*stream, error) {
		if par.resumes {
			// Who was here does not know the stream any more.
			return nil, errGone
		}

		return o.newStream(in)
	})
	switch {
	case errors.Is(err, errNotParent):
		return status.Error(codes.PermissionDenied, err.Error())
	case err != nil:
		return status.Error(codes.FailedPrecondition, err.Error())
	}

	seat.free = append(seat.free, func() { o.streams.leave(st) })

	// Who says that it goes on with a link has not shown yet that there is one.
	if par.orchestrator && !par.resumes {
		st.root.Store(true)
	}

	registration, err := o.adopt(st, par, caller)
	if err != nil {
		return err
	}

	if err = registration.Wait(); errors.Is(err, session.ErrGivenUp) {
		o.keep(seat, registration)

		return err
	}

	return o.finalStatus(st)
}

// seat is what the stream of a parent holds, and gives back at its end.
type seat struct {
	free []func()
}

// leave gives it back, the last first.
func (s *seat) leave() {
	for _, free := range slices.Backward(s.free) {
		free()
	}

	s.free = nil
}

// keep holds the seat of a parent whose stream has been given up, while that may go on over another
// one: the stream has not ended on this node, and counts for the limits.
func (m *Minogrpc) keep(s *seat, registration *session.Registration) {
	kept := &seat{free: s.free}

	started := m.tasks.start(func() {
		defer kept.leave()

		_ = registration.WaitEnd() // Either way the seat is free.
	})
	if started {
		s.free = nil
	}
}

// admit reads what a stream is to be, if the caller may open one more. The errors
// have a status.
func (m *Minogrpc) admit(ctx context.Context, v *visit) (*incoming, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	room := roomFor(md)

	err := cmp.Or(
		v.claim(claim{kind: setUps}, 1, m.pending),
		v.claim(claim{kind: storedBytes}, headers.Size(md), times(m.maxMetadata, hostMetadata*room)),
		v.claim(claim{kind: openStreams}, 1, times(m.hostStreams, room)),
	)
	if err != nil {
		return nil, err
	}

	in, err := m.readStreamCall(ctx)
	if err != nil {
		return nil, err
	}

	if in.ancestors, err = readAncestors(md); err != nil {
		return nil, err
	}

	err = v.claim(claim{kind: openStreams, gateway: in.gateway}, 1, times(m.peerStreams, room))
	if err != nil {
		return nil, err
	}

	return in, m.authorize(ctx, in.gateway, Procedure{URI: in.endpoint.uri, Access: in.access()})
}

// roomFor returns how many times the limits the streams may take with this one. What a
// broken stream holds is given back when another one goes on with its link, and all of
// them may break at once: without as much room again, who is at the limit could not go
// on. Any other stream finds that room taken.
func roomFor(md metadata.MD) int {
	relay, ok := session.AcceptRelay(nil, nil, md)
	if ok && relay.Resumes() {
		return 2
	}

	return 1
}

// adopt makes the caller a parent. It returns an error with a status when there is no memory, or the
// session takes no parent any more.
func (m *Minogrpc) adopt(st *stream, par *parent, caller *callerStream) (*session.Registration, error) {
	registration, err := st.Register(par.relay, par.table)

	switch {
	case errors.Is(err, session.ErrMemory):
		return nil, errTableMemory
	case err != nil:
		return nil, status.Error(codes.FailedPrecondition, errEnded.Error())
	}

	caller.visit.release(setUps)
	// In this order: a caller that has been accepted gets a handler, however soon the stream ends.
	st.start()
	caller.accept()

	return registration, nil
}

// finalStatus returns why a stream has ended for one of its parents.
func (m *Minogrpc) finalStatus(st *stream) error {
	cause := st.Err()

	switch {
	case errors.Is(cause, contain.ErrPanic):
		return status.Error(codes.Internal, cause.Error())
	case cause != nil:
		return status.Error(codes.Aborted, cause.Error())
	case m.life.closing.Err() != nil:
		return status.Error(codes.Unavailable, errStopped.Error())
	default:
		return nil
	}
}

// newParent returns the parent that the caller is to become. The errors have a
// status.
func (m *Minogrpc) newParent(in *incoming, caller *callerStream) (par *parent, err error) {
	par = &parent{release: func() {}}
	gateway := mino.Address(in.gateway)

	handshakes := in.md.Get(session.HandshakeKey)
	if len(handshakes) == 0 {
		par.orchestrator = true
		gateway = session.NewOrchestratorAddress(in.gateway)
	}

	duplex, ok := session.AcceptRelay(caller, gateway, in.md)

	switch {
	case ok && (par.orchestrator || duplex.Resumes() || !m.noDuplex):
		par.relay, par.resumes = duplex, duplex.Resumes()
		caller.duplex = duplex
	case par.orchestrator:
		par.relay = session.NewStreamRelay(gateway, caller, m.context)
	default:
		err = m.relayBack(par, in, caller)
	}

	if err == nil && !par.resumes {
		par.table, err = m.newTable(in, par.orchestrator)
	}

	if err != nil {
		par.release()
	}

	return par, err
}

// newTable returns the routing table of a parent, within the memory of the node. The errors have a
// status.
func (m *Minogrpc) newTable(in *incoming, orchestrator bool) (router.RoutingTable, error) {
	release, err := m.reserveTable(in)
	if err != nil {
		return nil, err
	}

	defer release()

	if orchestrator {
		return m.rootTable(in)
	}

	return m.tableFrom(in.md.Get(session.HandshakeKey)[0])
}

// rootTable returns the routing table of the root, which reaches all the players.
func (m *Minogrpc) rootTable(in *incoming) (router.RoutingTable, error) {
	texts := in.md.Get(playerKey)
	if len(texts) > m.maxPlayers {
		return nil, status.Errorf(codes.ResourceExhausted, "more than %d players", m.maxPlayers)
	}

	players := make([]mino.Address, 0, len(texts))

	for _, text := range texts {
		addr, err := readAddress(playerKey, text)
		if err != nil {
			return nil, err
		}

		players = append(players, addr)
	}

	table, err := m.router.New(mino.NewAddresses(players...), m.me)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "routing table: %v", err)
	}

	return table, nil
}

// tableFrom returns the routing table of any other node, which is told its part.
func (m *Minogrpc) tableFrom(handshake string) (router.RoutingTable, error) {
	hs, err := m.handshakeOf([]byte(handshake))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "handshake: %v", err)
	}

	table, err := m.router.GenerateTableFrom(hs)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "routing table: %v", err)
	}

	return table, nil
}

// handshakeOf reads a handshake. No child has more players to reach than a stream may have.
func (m *Minogrpc) handshakeOf(data []byte) (router.Handshake, error) {
	factory := m.router.GetHandshakeFactory()

	bounded, ok := factory.(router.BoundedHandshakeFactory)
	if !ok {
		return factory.HandshakeOf(m.context, data)
	}

	return bounded.HandshakeOfAtMost(m.context, data, m.maxPlayers)
}

// relayBack gives a parent the relay that sends the packets back in calls, over a
// connection of its own.
func (m *Minogrpc) relayBack(par *parent, in *incoming, caller *callerStream) error {
	conn, err := m.conns.Acquire(in.gateway)
	if err != nil {
		return status.Errorf(codes.FailedPrecondition, "no way back: %v", err)
	}

	var opts []session.RelayOption
	if slices.Contains(in.md.Get(session.LinkKey), session.LinkGoodbye) {
		opts = append(opts, session.WithGoodbye())
	}

	if slices.Contains(in.md.Get(session.LinkKey), session.LinkRoot) {
		opts = append(opts, session.WithRoot())
	}

	par.relay = session.NewRelay(caller, in.gateway, m.context, conn, m.callsOf(in.key), opts...)
	par.release = func() { m.conns.Release(in.gateway) }

	return nil
}

// callsOf returns the metadata of the calls that this node makes in a stream.
func (m *Minogrpc) callsOf(key streamKey) metadata.MD {
	return metadata.Pairs(uriKey, key.uri, streamIDKey, key.id, gatewayKey, m.text)
}

// callerStream is the stream of a parent. It makes sure that the header is the
// first thing that the parent gets: the session may send a packet as soon as it
// has registered the parent.
type callerStream struct {
	grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]

	visit    *visit
	maxFrame int
	once     sync.Once

	// duplex is the relay over the stream, which then sends the header. It is nil where
	// there is no duplex link.
	duplex *session.DuplexRelay
}

// accept sends the header. When that fails the stream is over, as the others who
// use it notice.
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

// Connected implements session.ConnectedStream.
func (s *callerStream) Connected() bool {
	conn := connectionOf(s.Context())

	return conn != nil && !conn.closed.Load()
}

// Broken implements session.BrokenStream.
func (s *callerStream) Broken() error {
	if conn := connectionOf(s.Context()); conn != nil {
		if cause := conn.broken.Load(); cause != nil {
			return *cause
		}
	}

	return nil
}

// Reads implements session.MeteredStream.
func (s *callerStream) Reads() (bytes uint64, last time.Time) {
	if conn := connectionOf(s.Context()); conn != nil {
		return conn.meter.Reads()
	}

	return 0, time.Time{}
}

// newStream returns the node's part in a stream that it does not know yet, and
// starts the goroutine that runs the handler.
func (m *Minogrpc) newStream(in *incoming) (*stream, error) {
	protocol := undefinedProtocol
	if values := in.md.Get(protocolKey); len(values) > 0 {
		protocol = values[0]
	}

	md := metadata.Pairs(uriKey, in.key.uri, streamIDKey, in.key.id, protocolKey, protocol)
	if m.cert != nil {
		in.nameAncestors(md)
	}

	st := newStream(in.key, m.lineageOf(in), m.newSession(md, m.me, in.endpoint))

	if !m.tasks.start(func() { m.takePart(st, in.endpoint) }) {
		st.Close()

		return nil, errStopped
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
func (m *Minogrpc) takePart(st *stream, ep *endpoint) {
	stop := context.AfterFunc(m.life.closing, func() { st.Leave(leftError{}) })
	defer stop()

	select {
	case <-st.started:
	case <-st.Done():
	}

	// Who has been accepted gets a handler, also when it has gone since.
	if isClosed(st.started) {
		err := m.contain(func() error { return heard(ep.handler.Stream(st, st)) })
		if err != nil && !errors.Is(err, io.EOF) {
			m.logger.Warn().Err(err).Str("rpc", ep.uri).Str("stream", st.key.id).Msg("handler failed")
		}

		st.handlerEnded(err)
	}

	<-st.Done()
}
