package host

import (
	"context"
	"errors"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errTableMemory is the answer to a parent whose routing table does not fit into its share of the memory.
var errTableMemory = status.Error(codes.ResourceExhausted,
	"the routing table does not fit into the memory budget of the node")

// errNoDuplex is the answer to a parent whose frames follow its stream at once, on a node that takes none.
var errNoDuplex = status.Error(codes.FailedPrecondition, "the node takes no duplex links of players")

// parent is a node that opens a stream to this one.
type parent struct {
	relay session.Relay
	table router.RoutingTable

	// orchestrator is true for the node that began the stream.
	orchestrator bool

	// resumes is true for a node that resumes a broken link. The session has its routing table already.
	resumes bool

	// release gives back the connection of the relay, if it has one.
	release func()
}

// Stream implements [ptypes.OverlayServer]. It makes the caller a parent in the stream that the metadata
// name, until the stream ends on either side. It sends the header when the parent is registered. Its
// errors have a gRPC status. If the server's stream is a [session.ConnectedStream], a
// [session.BrokenStream] or a [session.MeteredStream], the session asks it about its connection.
func (h *Host) Stream(server grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	taken := false

	err := h.guard(server.Context(), func() error { return h.serve(server, &taken) })
	if err != nil && !taken {
		server.SetTrailer(metadata.Pairs(session.LinkKey, session.LinkRefused))
	}

	return err
}

// serve is Stream without containment. It sets taken before anything is read of the stream.
func (h *Host) serve(server grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet], taken *bool) error {
	if err := h.Serving(); err != nil {
		return err
	}

	seat := &seat{}
	defer seat.leave()

	in, account, err := h.admit(server.Context(), seat)
	if err != nil {
		return err
	}

	caller := &callerStream{BidiStreamingServer: server, account: account, maxFrame: h.maxFrame}

	par, err := h.newParent(in, caller)
	if err != nil {
		return err
	}

	seat.add(par.release)

	st, err := h.join(in, par)
	if err != nil {
		return err
	}

	seat.add(func() { h.streams.leave(st) })

	key := in.key // Nothing else of the metadata is kept for as long as the stream lasts.

	// A caller that claims to resume a link has not shown yet that there is one.
	if par.orchestrator && !par.resumes {
		st.root.Store(true)
	}

	*taken = true // If the registration panics nobody knows.

	registration, err := h.adopt(st, par, caller)
	if err != nil {
		*taken = false

		return err
	}

	if err = registration.Wait(); errors.Is(err, session.ErrGivenUp) {
		h.keep(seat, key, registration)

		return err
	}

	return h.finalStatus(st)
}

// join returns the stream in which the caller becomes a parent. The errors have a status.
func (h *Host) join(in *incoming, par *parent) (*stream, error) {
	st, err := h.streams.join(in.key, in.caller(), func() (*stream, error) {
		if par.resumes {
			// This node does not know the stream any more, or has been started anew.
			return nil, errGone
		}

		return h.newStream(in)
	})

	switch {
	case errors.Is(err, errNotParent):
		return nil, status.Error(codes.PermissionDenied, err.Error())
	case err != nil:
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	default:
		return st, nil
	}
}

// seat has what the stream of a parent holds, and gives it back at the end.
type seat struct {
	free []func()
}

// add notes one more thing to give back.
func (s *seat) add(free func()) {
	s.free = append(s.free, free)
}

// leave gives everything back, the last thing first.
func (s *seat) leave() {
	for _, free := range slices.Backward(s.free) {
		free()
	}

	s.free = nil
}

// keep keeps the seat of a parent whose stream has been given up, while another stream may resume its
// link. Until then the stream has not ended on this node, and counts for the account.
func (h *Host) keep(s *seat, key streamKey, registration *session.Registration) {
	kept := &seat{free: s.free}
	task := Task{Name: "broken link", Procedure: key.uri, Stream: key.id}

	started := h.tasks.start(task, func(*running) {
		defer kept.leave()

		_ = registration.WaitEnd() // The seat is free, whatever the end was.
	})
	if started {
		s.free = nil
	}
}

// admit reads the metadata of a stream, and asks the policy whether the caller may open it. The errors
// have a status.
func (h *Host) admit(ctx context.Context, seat *seat) (*incoming, Account, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	account, err := h.policy.arrive(ctx, md)
	if err != nil {
		return nil, nil, err
	}

	seat.add(account.Close)

	in, err := h.readCall(ctx, md)
	if err != nil {
		return nil, nil, err
	}

	if in.ancestors, err = readAncestors(md); err != nil {
		return nil, nil, err
	}

	if in.orchestrator, err = in.readOrchestrator(); err != nil {
		return nil, nil, err
	}

	return in, account, h.policy.allow(ctx, in.request(in.role(), account))
}

// adopt makes the caller a parent. It returns an error with a status if there is no memory for the table,
// or if the session has ended.
func (h *Host) adopt(st *stream, par *parent, caller *callerStream) (*session.Registration, error) {
	registration, err := st.Register(par.relay, par.table)

	switch {
	case errors.Is(err, session.ErrMemory):
		return nil, errTableMemory
	case err != nil:
		return nil, status.Error(codes.FailedPrecondition, errEnded.Error())
	}

	caller.account.Accepted()
	// The handler starts first: a caller that has been accepted gets one, however soon the stream ends.
	st.start()
	caller.accept()

	return registration, nil
}

// finalStatus returns why a stream has ended for one of its parents.
func (h *Host) finalStatus(st *stream) error {
	cause := st.Err()

	switch {
	case errors.Is(cause, contain.ErrPanic):
		return said(codes.Internal, cause)
	case cause != nil:
		return said(codes.Aborted, cause)
	default:
		return h.Serving()
	}
}

// newParent returns the parent that the caller becomes. The errors have a status.
func (h *Host) newParent(in *incoming, caller *callerStream) (par *parent, err error) {
	par = &parent{release: func() {}}
	gateway := mino.Address(in.gateway)

	if in.role() == RoleOrchestrator {
		par.orchestrator = true
		gateway = session.NewOrchestratorAddress(in.gateway)
	}

	duplex, ok := session.AcceptRelay(caller, gateway, in.md)

	switch {
	case ok && (par.orchestrator || duplex.Resumes() || !h.noDuplex):
		par.relay, par.resumes = duplex, duplex.Resumes()
		caller.duplex = duplex
	case ok && duplex.Early():
		err = errNoDuplex
	case par.orchestrator:
		par.relay = session.NewStreamRelay(gateway, caller, h.context)
	default:
		err = h.relayBack(par, in, caller)
	}

	if err == nil && !par.resumes {
		par.table, err = h.newTable(in)
	}

	if err != nil {
		par.release()
	}

	return par, err
}

// newTable returns the routing table of a parent, if the policy has memory for it. The errors have a
// status.
func (h *Host) newTable(in *incoming) (router.RoutingTable, error) {
	release, err := h.policy.table(in.gateway, in.md)
	if err != nil {
		return nil, err
	}

	defer release()

	if in.role() == RoleOrchestrator {
		return h.rootTable(in)
	}

	return h.tableFrom(in.md.Get(session.HandshakeKey)[0])
}

// rootTable returns the routing table of the root. It reaches all players.
func (h *Host) rootTable(in *incoming) (router.RoutingTable, error) {
	texts := in.md.Get(session.PlayerKey)
	if len(texts) > h.maxPlayers {
		return nil, status.Errorf(codes.ResourceExhausted, "more than %d players", h.maxPlayers)
	}

	players := make([]mino.Address, 0, len(texts))

	for _, text := range texts {
		addr, err := ReadAddress(session.PlayerKey, text)
		if err != nil {
			return nil, err
		}

		players = append(players, addr)
	}

	table, err := h.router.New(mino.NewAddresses(players...), h.me)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "routing table: %v", err)
	}

	return table, nil
}

// tableFrom returns the routing table of any other node, from the handshake of its parent.
func (h *Host) tableFrom(handshake string) (router.RoutingTable, error) {
	hs, err := h.handshakeOf([]byte(handshake))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "handshake: %v", err)
	}

	table, err := h.router.GenerateTableFrom(hs)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "routing table: %v", err)
	}

	return table, nil
}

// handshakeOf reads a handshake. If the factory can, it refuses a handshake with more players than a
// stream may have.
func (h *Host) handshakeOf(data []byte) (router.Handshake, error) {
	factory := h.router.GetHandshakeFactory()

	bounded, ok := factory.(router.BoundedHandshakeFactory)
	if !ok {
		return factory.HandshakeOf(h.context, data)
	}

	return bounded.HandshakeOfAtMost(h.context, data, h.maxPlayers)
}

// relayBack gives a parent the relay that sends packets back in calls, over a connection from the
// manager.
func (h *Host) relayBack(par *parent, in *incoming, caller *callerStream) error {
	conn, err := h.conns.Acquire(in.gateway)
	if err != nil {
		return status.Errorf(codes.FailedPrecondition, "no way back: %v", err)
	}

	opts := session.ReadOffer(in.md).RelayOptions()
	par.relay = session.NewRelay(caller, in.gateway, h.context, conn, h.callsOf(in.key), opts...)
	par.release = func() { h.conns.Release(in.gateway) }

	return nil
}

// callsOf returns the metadata of the calls that this node makes in a stream.
func (h *Host) callsOf(key streamKey) metadata.MD {
	return metadata.Pairs(session.URIKey, key.uri, session.StreamIDKey, key.id, session.GatewayKey, h.text)
}
