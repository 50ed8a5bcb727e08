package sessiontest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

func TestTestRouter_PassesForTheTree(t *testing.T) {
	TestRouter(t, func(f mino.AddressFactory) router.Router { return tree.NewRouter(f) })
}

func TestDepths_NobodyIsNowhere(t *testing.T) {
	depths, err := Depths(tree.NewRouter(session.AddressFactory{}), nil)

	require.NoError(t, err)
	require.Empty(t, depths)
}

func TestDepths_CountsHops(t *testing.T) {
	players := playersOf(7)

	depths, err := Depths(tree.NewRouter(session.AddressFactory{}), players)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1, 1, 1, 1, 2}, depths)

	depths, err = Depths(tree.NewRouter(session.AddressFactory{}), players, players[5])
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1, 1, 1, NotReached, 1}, depths)
}

func TestDepths_PlayerNamedTwiceIsAnError(t *testing.T) {
	players := playersOf(2)

	_, err := Depths(tree.NewRouter(session.AddressFactory{}), append(players, players[1]))

	require.EqualError(t, err, "a player is named twice")
}

// A conformance test that lets a broken router pass is worth nothing: each check is
// shown routers that it must not let pass.
func TestTestRouter_FailsForBrokenRouters(t *testing.T) {
	for _, check := range routerChecks {
		require.NotEmpty(t, brokenRouters[check.name], check.name)

		for i, broken := range brokenRouters[check.name] {
			err := check.test(t, func(f mino.AddressFactory) router.Router {
				broken.Router = tree.NewRouter(f)

				return broken
			})
			require.Error(t, err, "%s lets router %d pass", check.name, i)
		}
	}
}

// brokenRouters are those that each check must not let pass.
var brokenRouters = map[string][]brokenRouter{
	"PacketKeepsWhatItIsMadeOf": {
		{make: func(table router.RoutingTable, src mino.Address, to []mino.Address, msg []byte) router.Packet {
			return table.Make(src, to, bytes.Clone(msg))
		}},
		{make: func(table router.RoutingTable, src mino.Address, to []mino.Address, msg []byte) router.Packet {
			return table.Make(src, to[1:], msg)
		}},
	},
	"PacketSurvivesTheNetwork": {
		{packets: func(p router.Packet, err error) (router.Packet, error) {
			p.Slice(p.GetDestination()[0])

			return p, err
		}},
	},
	"SliceTakesOneAddressOut": {
		{make: func(table router.RoutingTable, src mino.Address, to []mino.Address, msg []byte) router.Packet {
			return wholePacket{table.Make(src, to, msg)}
		}},
	},
	"ForwardLeavesThePacketAlone": {
		{forward: func(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
			p.Slice(p.GetDestination()[0])

			return table.Forward(p)
		}},
		{forward: func(_ router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
			return router.Routes{nil: p}, nil
		}},
	},
	"ForwardPutsEachDestinationInOnePlace": {
		{forward: sendUpToo},
		{forward: forgetOne},
		{forward: failWithoutReason},
	},
	"EveryPlayerIsReachedOnce":          {{forward: sendUpToo}, {forward: forgetOne}, {forward: failWithoutReason}},
	"RouterIsSharedByGoroutines":        {{forward: sendUpToo}, {forward: forgetOne}},
	"OneLostPlayerCostsOnlyItself":      {{onFailure: giveUp}, {onFailure: ignore}},
	"FailureOfANeighbourKeepsTheOthers": {{onFailure: giveUp}, {onFailure: ignore}},
	"LostNeighbourIsTriedAgain":         {neverAgain(), {forward: failPlainly}},
	"StrangerGoesToTheParentOrNowhere":  {{forward: sendDown}, {forward: forgetOne}},
	"SourcesComeTheWayThatRoutesGo":     brokenSources,
	"ShortcutsSayTheSame":               brokenShortcuts,
	"OrchestratorSendsAllToItsParent":   {{forward: sendDown}, {forward: failWithoutReason}, {mayCome: mayNot}},
	"PlayersMayNameANodeTwiceAndItself": {{forgetsMe: true}},
	"GarbageIsAnError": {
		{packets: func(router.Packet, error) (router.Packet, error) { return nil, nil }},
	},
}

// brokenSources say something else about some sources.
var brokenSources = []brokenRouter{
	{mayCome: func(router.Sources, mino.Address, mino.Address) bool { return true }},
	{mayCome: mayNot},
	{mayCome: func(s router.Sources, source, from mino.Address) bool {
		return from == nil || s.MayCome(source, from)
	}},
	{mayCome: func(s router.Sources, source, from mino.Address) bool {
		return from != nil && s.MayCome(source, from)
	}},
	{mayCome: func(s router.Sources, source, from mino.Address) bool {
		return s.MayCome(session.FollowerOf(source), from)
	}},
	{mayCome: func(s router.Sources, source, from mino.Address) bool {
		return from != nil && source != nil && from.Equal(source) || s.MayCome(source, from)
	}},
	{onFailure: giveUp}, {onFailure: ignore},
}

// brokenShortcuts are wrong where Make and Forward are right.
var brokenShortcuts = []brokenRouter{
	{nextHop: func(router.NextHop, router.Packet) (mino.Address, bool) { return nil, true }},
	{nextHop: func(_ router.NextHop, p router.Packet) (mino.Address, bool) { return p.GetDestination()[0], true }},
	{nextHop: func(h router.NextHop, p router.Packet) (mino.Address, bool) {
		defer p.Slice(p.GetDestination()[0])

		return h.NextHop(p)
	}},
	{anytime: func(m router.Maker, src mino.Address, to []mino.Address, msg []byte) router.Packet {
		return m.MakeAnytime(src, to[:1], msg)
	}},
	{anytime: func(m router.Maker, src mino.Address, to []mino.Address, msg []byte) router.Packet {
		return m.MakeAnytime(src, to, bytes.Clone(msg))
	}},
	{anytime: func(m router.Maker, _ mino.Address, to []mino.Address, msg []byte) router.Packet {
		return m.MakeAnytime(to[0], to, msg)
	}},
}

// mayNot lets no packet come from anywhere.
func mayNot(router.Sources, mino.Address, mino.Address) bool {
	return false
}

// sendUpToo sends to the parent what goes down.
func sendUpToo(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
	routes, voids := table.Forward(p)
	routes[nil] = p

	return routes, voids
}

// sendDown sends down what is for the parent.
func sendDown(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
	routes, voids := table.Forward(p)
	for to, part := range routes {
		delete(routes, to)
		routes[session.NewAddress("down:1")] = part
	}

	return routes, voids
}

// forgetOne drops what goes one way.
func forgetOne(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
	routes, voids := table.Forward(p)
	for to := range routes {
		delete(routes, to)

		break
	}

	return routes, voids
}

// failWithoutReason has a void for everything, and no error in it.
func failWithoutReason(_ router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
	voids := make(router.Voids)
	for _, addr := range p.GetDestination() {
		voids[addr] = router.Void{}
	}

	return nil, voids
}

// giveUp finds no other route.
func giveUp(router.RoutingTable, mino.Address) error {
	return errors.New("no route")
}

// ignore promises another route and has none.
func ignore(router.RoutingTable, mino.Address) error {
	return nil
}

// neverAgain is a router that gives up a lost neighbour for ever.
func neverAgain() brokenRouter {
	type failure struct {
		table router.RoutingTable
		to    string
	}

	lost := make(map[failure]bool)

	return brokenRouter{
		onFailure: func(table router.RoutingTable, to mino.Address) error {
			lost[failure{table, to.String()}] = true

			return table.OnFailure(to)
		},
		forward: func(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
			routes, voids := table.Forward(p)
			for to := range routes {
				if to != nil && lost[failure{table, to.String()}] {
					delete(routes, to)

					if voids == nil {
						voids = make(router.Voids)
					}

					voids[to] = router.Void{Error: router.ErrUnreachable}
				}
			}

			return routes, voids
		},
	}
}

// failPlainly says of a lost neighbour what is said of a stranger.
func failPlainly(table router.RoutingTable, p router.Packet) (router.Routes, router.Voids) {
	routes, voids := table.Forward(p)
	for to := range voids {
		voids[to] = router.Void{Error: errors.New("lost")}
	}

	return routes, voids
}

// The router of neverAgain is wrong in nothing else, so that no other check finds it.
func TestTestRouter_OnlyOneCheckFindsARouterThatNeverTriesAgain(t *testing.T) {
	for _, check := range routerChecks {
		if check.name == "RouterIsSharedByGoroutines" {
			continue // neverAgain has no lock.
		}

		err := check.test(t, func(f mino.AddressFactory) router.Router {
			broken := neverAgain()
			broken.Router = tree.NewRouter(f)

			return broken
		})
		require.Equal(t, check.name == "LostNeighbourIsTriedAgain", err != nil, "%s: %v", check.name, err)
	}
}

// wholePacket cannot be sliced.
type wholePacket struct{ router.Packet }

func (wholePacket) Slice(mino.Address) router.Packet { return nil }

// brokenRouter is a router of which one thing has been replaced.
type brokenRouter struct {
	router.Router

	make      func(router.RoutingTable, mino.Address, []mino.Address, []byte) router.Packet
	forward   func(router.RoutingTable, router.Packet) (router.Routes, router.Voids)
	onFailure func(router.RoutingTable, mino.Address) error
	mayCome   func(router.Sources, mino.Address, mino.Address) bool
	nextHop   func(router.NextHop, router.Packet) (mino.Address, bool)
	anytime   func(router.Maker, mino.Address, []mino.Address, []byte) router.Packet
	packets   func(router.Packet, error) (router.Packet, error)
	forgetsMe bool
}

func (r brokenRouter) New(players mino.Players, me mino.Address) (router.RoutingTable, error) {
	if r.forgetsMe {
		me = nil
	}

	table, err := r.Router.New(players, me)

	return brokenTable{RoutingTable: table, broken: r}, err
}

func (r brokenRouter) GenerateTableFrom(h router.Handshake) (router.RoutingTable, error) {
	table, err := r.Router.GenerateTableFrom(h)

	return brokenTable{RoutingTable: table, broken: r}, err
}

func (r brokenRouter) GetPacketFactory() router.PacketFactory {
	return brokenFactory{PacketFactory: r.Router.GetPacketFactory(), broken: r}
}

// brokenTable is a table of a brokenRouter.
type brokenTable struct {
	router.RoutingTable

	broken brokenRouter
}

func (t brokenTable) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	if t.broken.make != nil {
		return t.broken.make(t.RoutingTable, src, to, msg)
	}

	return t.RoutingTable.Make(src, to, msg)
}

func (t brokenTable) Forward(p router.Packet) (router.Routes, router.Voids) {
	if t.broken.forward != nil {
		return t.broken.forward(t.RoutingTable, p)
	}

	return t.RoutingTable.Forward(p)
}

func (t brokenTable) OnFailure(to mino.Address) error {
	if t.broken.onFailure != nil {
		return t.broken.onFailure(t.RoutingTable, to)
	}

	return t.RoutingTable.OnFailure(to)
}

func (t brokenTable) MayCome(source, from mino.Address) bool {
	sources := t.RoutingTable.(router.Sources)
	if t.broken.mayCome != nil {
		return t.broken.mayCome(sources, source, from)
	}

	return sources.MayCome(source, from)
}

func (t brokenTable) NextHop(p router.Packet) (mino.Address, bool) {
	oneWay := t.RoutingTable.(router.NextHop)
	if t.broken.nextHop != nil {
		return t.broken.nextHop(oneWay, p)
	}

	return oneWay.NextHop(p)
}

func (t brokenTable) MakeAnytime(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	maker := t.RoutingTable.(router.Maker)
	if t.broken.anytime != nil {
		return t.broken.anytime(maker, src, to, msg)
	}

	return maker.MakeAnytime(src, to, msg)
}

// brokenFactory is the packet factory of a brokenRouter.
type brokenFactory struct {
	router.PacketFactory

	broken brokenRouter
}

func (f brokenFactory) PacketOf(ctx serde.Context, data []byte) (router.Packet, error) {
	p, err := f.PacketFactory.PacketOf(ctx, data)
	if f.broken.packets != nil {
		return f.broken.packets(p, err)
	}

	return p, err
}

func (f brokenFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	return f.PacketOf(ctx, data)
}
