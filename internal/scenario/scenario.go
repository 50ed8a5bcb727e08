package scenario

import (
	"time"

	"github.com/minogrpc/session"
)

// Orchestrator is the name of the node that opens the stream. It is no player.
const Orchestrator = "orchestrator"

// Scenario is what one file says.
type Scenario struct {
	// About is the comment that the file begins with.
	About string

	// Modes are how the connections are secured, and Links what the links between the
	// nodes are. Each pair of them is one run.
	Modes []Mode
	Links []Links

	// Height is that of the tree router.
	Height int

	// Players are the nodes of the tree, a parent before its children, and Depths how
	// far each is drawn below the root, which is the first.
	Players []string
	Depths  []int

	// Strangers are addresses that are no players.
	Strangers []string

	// Existing are the nodes of the existing implementation.
	Existing []string

	// Peers are the players that are no nodes of this library, and Handlers what
	// those do that do not just read.
	Peers    map[string]Peer
	Handlers map[string]Handler

	Options Options

	// Steps are in the order of their times.
	Steps []Step
}

// Nodes returns the orchestrator and the players.
func (s *Scenario) Nodes() []string {
	return append([]string{Orchestrator}, s.Players...)
}

// Mode is how the connections are secured.
type Mode string

// The modes.
const (
	Plain Mode = "plain"
	TLS   Mode = "tls"
)

// Links are how the nodes talk to each other over their connections.
type Links string

// The kinds of links. Where some nodes can do without calls and others cannot, they
// are mixed.
const (
	Duplex  Links = "duplex"
	Unicast Links = "unicast"
	Mixed   Links = "mixed"
)

// AllLinks are the kinds that a scenario is for when it does not choose.
func AllLinks() []Links {
	return []Links{Duplex, Unicast, Mixed}
}

// Peer is what a player does that is no node of this library.
type Peer string

// What such a player does, as it is written.
const (
	Mute       Peer = "never speaks"
	Headerless Peer = "never sends the header"
	Ackless    Peer = "never acks"
	Babbling   Peer = "acks nonsense"
	Refusing   Peer = "refuses streams"
	Absent     Peer = "is absent"
)

// Handler is what the handler of a node does.
type Handler string

// What a handler does, as it is written.
const (
	Reads      Handler = "reads"
	Echoes     Handler = "echoes"
	NeverReads Handler = "never reads"
	Returns    Handler = "returns"
	Fails      Handler = "fails"
)

// Options are those of the sessions of all nodes. Zero is the default of each.
type Options struct {
	Setup, Outcome, Grace time.Duration

	// Queue and Outbox are in packets.
	Queue, Outbox int
}

// Step is one statement.
type Step struct {
	// Line is where it stands in the file.
	Line int

	// At is when it happens, after the beginning of the scenario.
	At time.Duration

	Action Action
}

// Action is what happens in a step: one of the types below.
type Action interface{ action() }

// Open opens the stream.
type Open struct {
	// Window is when it is expected to fail.
	Window

	// Fails is part of the error that is expected, or empty.
	Fails string
}

// Cancel ends the context of the stream.
type Cancel struct{}

// Send sends a message, or several.
type Send struct {
	// Message names the message. Nothing else in the scenario has the same name. An
	// empty one stands for a nil message.
	Message string

	// Times is how many are sent, and Size the bytes of each, if it is more than the
	// name takes. With Awaited each is settled before the next is sent.
	Times, Size int
	Awaited     bool

	// From is the sender, and To the destinations. An empty one is a nil address.
	From string
	To   []string

	// Want is what is expected for each destination, and Settled when the last of
	// them is known.
	Want    map[string]Outcome
	Settled Window
}

// Delivered is the outcome of a message that has arrived.
const Delivered session.Reason = 0

// Outcome is what is expected to become of a destination.
type Outcome struct {
	// Window is when, after the send.
	Window

	// Reasons are those that are possible, Delivered included.
	Reasons []session.Reason

	// Hop is who reports it, if that matters.
	Hop string
}

// Window is when something is expected to happen.
type Window struct {
	// After and Within are the earliest and the latest moment. A negative Within
	// means that the latest does not matter.
	After, Within time.Duration
}

// Fault changes the network.
type Fault struct {
	Kind Kind

	// A and B are the ends. An empty B stands for everybody else.
	A, B string

	// Delay is that of Kind Delay, each way.
	Delay time.Duration
}

// Kind is the kind of a Fault.
type Kind string

// The kinds, as they are written. Lose is the freeze of one direction, from A to B.
const (
	Cut    Kind = "cut"
	Freeze Kind = "freeze"
	Lose   Kind = "lose"
	Delay  Kind = "delay"
	Heal   Kind = "heal"
	Refuse Kind = "refuse"
	Allow  Kind = "allow"
)

// Life ends or begins the life of a node.
type Life struct {
	Event Event
	Node  string
}

// Event is what happens to a node.
type Event string

// The events, as they are written. A node that crashes says nothing to anybody.
const (
	Stop  Event = "stop"
	Crash Event = "crash"
	Start Event = "start"
)

// ExpectReceived is how many messages the handlers of nodes have got by now.
type ExpectReceived struct {
	Nodes []string
	Count int
}

// ExpectHandlers is whose handlers are running.
type ExpectHandlers struct{ Nodes []string }

// ExpectLost is who has been reported lost by now, by one node, or by anybody who
// has not been stopped when By is empty.
type ExpectLost struct {
	By    string
	Nodes []string
}

// ExpectBroken is ExpectLost for the neighbours to whom a link has broken, whether or not it went on.
type ExpectBroken struct {
	By    string
	Nodes []string
}

// ExpectEnd is what Recv has returned to the orchestrator: an error with the text,
// or the end of the stream when that is empty.
type ExpectEnd struct{ Text string }

// ExpectQuiet is that no packet has been sent after a moment.
type ExpectQuiet struct{ Since time.Duration }

// ExpectGoroutines is that the process has fewer goroutines.
type ExpectGoroutines struct{ Fewer int }

func (*Open) action()            {}
func (Cancel) action()           {}
func (*Send) action()            {}
func (Fault) action()            {}
func (Life) action()             {}
func (ExpectReceived) action()   {}
func (ExpectHandlers) action()   {}
func (ExpectLost) action()       {}
func (ExpectBroken) action()     {}
func (ExpectEnd) action()        {}
func (ExpectQuiet) action()      {}
func (ExpectGoroutines) action() {}
