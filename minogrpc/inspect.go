package minogrpc

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// maxDescription bounds what the nodes below say of a stream, in bytes, and leastDescription is the room
	// of each of them.
	maxDescription   = 1 << 20
	leastDescription = 4 << 10

	// maxAsked is how many children are asked about a stream, and maxAskedStreams about how many streams.
	maxAsked        = 64
	maxAskedStreams = 16

	// maxInspections is how many questions of other nodes a node answers at once.
	maxInspections = 32

	// maxBranches bounds how deep a description is: as deep as a tree may be.
	maxBranches = 64

	// perDescribed is what a byte of a description takes in memory while it is read and written.
	perDescribed = 16

	// leastItem is less than what a node says about a neighbour, in bytes, and fewItems are always allowed.
	leastItem = 64
	fewItems  = 64

	// inspectTimeout is how long the nodes below may take, if the context has no deadline.
	inspectTimeout = 2 * time.Second
)

// silent is the silence after which a child is not asked: it has missed a sign of life.
const silent = 2 * session.DefaultLiveness / 5

// Branch is what a node says of a stream, and below it what its children say. A node can invent all that is
// said of the nodes below it.
type Branch struct {
	// Address is the node, as its parent knows it.
	Address string `json:"address"`
	// Stream is what the node knows of the stream, without the failures and the losses. It is nil if the
	// node has said nothing, and Missing says why.
	Stream  *host.Stream `json:"stream,omitempty"`
	Missing string       `json:"missing,omitempty"`
	// Below are the children, in the order of Stream.Children. More is how many were not asked for want of room.
	Below []Branch `json:"below,omitempty"`
	More  int      `json:"more,omitempty"`
}

// Descendants are what the nodes below this one say of a stream of a [Snapshot].
type Descendants struct {
	// Stream and Role are those of the stream.
	Stream string          `json:"stream"`
	Role   host.StreamRole `json:"role"`
	Below  []Branch        `json:"below"`
	More   int             `json:"more,omitempty"`
}

// WithInspection lets the parent of this node in a stream ask what the node and the nodes below it know of that
// stream: its snapshot without failures and losses. It is off by default. A node answers nobody else, and a
// parent only about their common stream. [Minogrpc.Descendants] asks.
func WithInspection() Option {
	return optionFunc(func(c *config) { c.inspection = true })
}

// Descendants asks the nodes below this one what they know of the streams of a snapshot: the 16 oldest of
// them. Only nodes with [WithInspection] answer, and pass the question on. It returns when all have answered or
// the context is done, within two seconds if that has no deadline. An answer about a stream has at most 1 MiB.
func (m *Minogrpc) Descendants(ctx context.Context, snap Snapshot) []Descendants {
	ctx, cancel := withDeadline(ctx, 1)
	defer cancel()

	all := make([]Descendants, min(len(snap.Streams), maxAskedStreams))

	var group sync.WaitGroup

	for i := range all {
		st := &snap.Streams[i]
		all[i] = Descendants{Stream: st.Stream, Role: st.Role}

		group.Go(func() { all[i].Below, all[i].More = m.askBelow(ctx, st, maxDescription) })
	}

	group.Wait()

	return all
}

// withDeadline returns the context with so much of the time that it has.
func withDeadline(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	left := inspectTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}

	return context.WithTimeout(ctx, time.Duration(part*float64(left)))
}

// below returns the neighbours to ask about a stream: those that this node has opened it to. An orchestrator does
// not ask its own node.
func (m *Minogrpc) below(st *host.Stream) []session.Neighbor {
	switch {
	case st.Role != host.StreamOrchestrator:
		return st.Children
	case len(st.Parents) == 1 && st.Parents[0].Address != m.me.String():
		return st.Parents // It is the root.
	default:
		return nil
	}
}

// askBelow asks the children about a stream, all at once. What they say takes no more than so many bytes.
func (m *Minogrpc) askBelow(ctx context.Context, st *host.Stream, bytes int) (all []Branch, more int) {
	children := m.below(st)
	n := min(len(children), maxAsked, bytes/leastDescription)

	weight := perDescribed * bytes
	if n == 0 || !m.shared.ReserveSpare(weight) {
		return nil, len(children)
	}

	defer m.shared.Release(weight)

	all = make([]Branch, n)

	var group sync.WaitGroup

	for i := range all {
		group.Go(func() { all[i] = m.askBranch(ctx, st, &children[i], bytes/n) })
	}

	group.Wait()

	return all, len(children) - n
}

// askBranch asks one child. What it says about itself is taken for what it says, and not about which node and
// which stream it speaks of.
func (m *Minogrpc) askBranch(ctx context.Context, st *host.Stream, child *session.Neighbor, bytes int) Branch {
	var b Branch

	err := errSilent
	if isHeard(child) {
		err = m.contain(func() (err error) {
			b, err = m.inspect(ctx, st, child.Address, bytes)

			return err
		})
	}

	if err != nil || b.Stream == nil {
		return Branch{Address: child.Address, Missing: missing(err)}
	}

	b.Address, b.Stream.Address = child.Address, child.Address
	b.Stream.Procedure, b.Stream.Stream, b.Stream.Protocol = st.Procedure, st.Stream, st.Protocol
	b.Stream.Failures, b.Stream.Losses = nil, nil
	b.prune(maxBranches)

	return b
}

// prune cuts off what is deeper than a tree may be.
func (b *Branch) prune(depth int) {
	if depth == 0 {
		b.Below = nil
	}

	for i := range b.Below {
		b.Below[i].prune(depth - 1)
	}
}

// isHeard tells whether a neighbour seems to be there. Nobody waits for one that is not.
func isHeard(n *session.Neighbor) bool {
	return (n.State == session.NeighborOpen || n.State == session.NeighborSuspect) && n.Heard <= silent
}

// inspect asks a child for its branch.
func (m *Minogrpc) inspect(ctx context.Context, st *host.Stream, child string, bytes int) (b Branch, err error) {
	target, err := url.Parse(child)
	if err != nil {
		return b, err
	}

	peer, err := session.NewAddressFromURL(*target)
	if err != nil {
		return b, err
	}

	conn, err := m.conns.Acquire(peer)
	if err != nil {
		return b, err
	}

	defer m.conns.Release(peer)

	if err = m.ready(ctx, conn); err != nil {
		return b, err
	}

	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(
		session.URIKey, st.Procedure, session.StreamIDKey, st.Stream, session.GatewayKey, m.text))

	answer, err := ptypes.NewInspectionClient(conn).Inspect(ctx, &ptypes.InspectRequest{Bytes: uint32(bytes)},
		grpc.MaxCallRecvMsgSize(bytes+headerRoom))
	if err != nil {
		return b, err
	}

	if isCrowded(answer.GetDescription()) {
		return b, errCrowded
	}

	return b, json.Unmarshal(answer.GetDescription(), &b)
}

// isCrowded tells whether the lists of a text in JSON have more items than a node would describe in so few bytes.
// An item takes as much memory if nothing is said about it, and more bytes when it is passed on.
func isCrowded(data []byte) bool {
	var (
		open            []byte // the brackets around
		quoted, escaped bool
		items           int
	)

	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			open = append(open, c)
			if c == '[' {
				items++
			}
		case c == ']' || c == '}':
			open = open[:max(len(open)-1, 0)]
		case c == ',' && len(open) > 0 && open[len(open)-1] == '[':
			items++
		}
	}

	return items > fewItems+len(data)/leastItem
}

// headerRoom is for the field around a description.
const headerRoom = 16

var (
	errSilent  = errors.New("silent")
	errCrowded = errors.New("a description with too many items")
	errBusy    = status.Error(codes.ResourceExhausted, "too many questions at once")
	errRoom    = status.Error(codes.ResourceExhausted, "no room for a description")
)

// missing says in words of this node why a child has said nothing.
func missing(err error) string {
	switch {
	case errors.Is(err, errSilent):
		return "not asked, because nothing is heard of it"
	case status.Code(err) == codes.Unimplemented:
		return "does not tell"
	case status.Code(err) == codes.DeadlineExceeded, status.Code(err) == codes.Canceled:
		return "has not told in time"
	default:
		return "cannot tell"
	}
}

// inspection answers the questions of the nodes above.
type inspection struct {
	ptypes.UnimplementedInspectionServer

	node *Minogrpc
	// asked has a token for each question that is being answered.
	asked chan struct{}
}

// Inspect returns what this node, and the nodes below it, know of a stream.
func (i *inspection) Inspect(ctx context.Context, req *ptypes.InspectRequest) (*ptypes.InspectResponse, error) {
	st, err := i.node.host.Inspect(ctx)
	if err != nil {
		return nil, err
	}

	select {
	case i.asked <- struct{}{}:
		defer func() { <-i.asked }()
	default:
		return nil, errBusy
	}

	// Another node above waits for the answer, too.
	ctx, cancel := withDeadline(ctx, 0.75)
	defer cancel()

	data, err := i.node.description(ctx, &st, int(min(req.GetBytes(), maxDescription)))

	return &ptypes.InspectResponse{Description: data}, err
}

// description returns the branch of this node in JSON, of at most so many bytes. The error has a status.
func (m *Minogrpc) description(ctx context.Context, st *host.Stream, bytes int) ([]byte, error) {
	st.Failures, st.Losses = nil, nil
	b := Branch{Address: st.Address, Stream: st}

	own, err := json.Marshal(b)
	if err == nil && len(own) <= bytes {
		b.Below, b.More = m.askBelow(ctx, st, bytes-len(own))

		var all []byte
		if all, err = json.Marshal(b); err == nil && len(all) <= bytes {
			return all, nil
		}

		b.Below, b.More = nil, len(m.below(st))
		own, err = json.Marshal(b)
	}

	if err != nil || len(own) > bytes {
		return nil, errRoom
	}

	return own, nil
}
