package scenario_test

import (
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/stretchr/testify/require"
)

// anytime is the window of what is expected at any time.
var anytime = scenario.Window{Within: -1}

func TestParse_ReadsThePlayers(t *testing.T) {
	sc, err := scenario.Parse("players.txt", []byte(`# What it shows,
# in two lines.

# Another comment.
mode tls
height 2
tree r(a(a1) b) # and a comment here
strangers x
peer b never acks
existing r orchestrator
handler a a1 echoes
option outcome 5s
option queue 10

at 0s  open
`), scenario.Duplex)
	require.NoError(t, err)
	require.Equal(t, &scenario.Scenario{
		About:     "What it shows,\nin two lines.",
		Modes:     []scenario.Mode{scenario.TLS},
		Links:     scenario.AllLinks(),
		Height:    2,
		Players:   []string{"r", "a", "a1", "b"},
		Depths:    []int{0, 1, 2, 1},
		Strangers: []string{"x"},
		Existing:  []string{"r", "orchestrator"},
		Peers:     map[string]scenario.Peer{"b": scenario.Ackless},
		Handlers:  map[string]scenario.Handler{"a": scenario.Echoes, "a1": scenario.Echoes},
		Options:   scenario.Options{Outcome: 5 * time.Second, Queue: 10},
		Steps:     []scenario.Step{{Line: 15, Action: &scenario.Open{Window: anytime}}},
	}, sc)
}

func TestParse_ReadsTheSteps(t *testing.T) {
	sc, err := scenario.Parse("steps.txt", []byte(`# About.
height 2
tree r(a(a1) b)
at 0s  open
         fails: "no # comment", within 3s
at 1s  send nil to orchestrator
at 2s  cut r from a
at 2s  freeze a
at 2s  delay all 50ms
at 2s  refuse dials to b
at 3s  crash a
at 4s  cancel
at 5s  expect r lost a b
at 5s  expect handlers of nobody
at 5s  expect all received nothing
at 5s  expect no packets since 3s
at 6s  expect broken a
at 6s  expect r broken nobody
`), scenario.Duplex)
	require.NoError(t, err)
	require.Equal(t, []scenario.Mode{scenario.Plain, scenario.TLS}, sc.Modes)

	toOrchestrator := &scenario.Send{
		Times: 1, From: scenario.Orchestrator, To: []string{scenario.Orchestrator}, Settled: anytime,
		Want: map[string]scenario.Outcome{
			scenario.Orchestrator: {Window: anytime, Reasons: []session.Reason{scenario.Delivered}},
		},
	}

	require.Equal(t, []scenario.Step{
		{4, 0, &scenario.Open{Fails: "no # comment", Window: scenario.Window{Within: 3 * time.Second}}},
		{6, 1 * time.Second, toOrchestrator},
		{7, 2 * time.Second, scenario.Fault{Kind: scenario.Cut, A: "r", B: "a"}},
		{8, 2 * time.Second, scenario.Fault{Kind: scenario.Freeze, A: "a"}},
		{9, 2 * time.Second, scenario.Fault{Kind: scenario.Delay, Delay: 50 * time.Millisecond}},
		{10, 2 * time.Second, scenario.Fault{Kind: scenario.Refuse, A: "b"}},
		{11, 3 * time.Second, scenario.Life{Event: scenario.Crash, Node: "a"}},
		{12, 4 * time.Second, scenario.Cancel{}},
		{13, 5 * time.Second, scenario.ExpectLost{By: "r", Nodes: []string{"a", "b"}}},
		{14, 5 * time.Second, scenario.ExpectHandlers{}},
		{15, 5 * time.Second, scenario.ExpectReceived{Nodes: []string{"r", "a", "a1", "b"}}},
		{16, 5 * time.Second, scenario.ExpectQuiet{Since: 3 * time.Second}},
		{17, 6 * time.Second, scenario.ExpectBroken{Nodes: []string{"a"}}},
		{18, 6 * time.Second, scenario.ExpectBroken{By: "r"}},
	}, sc.Steps)
}

func TestParse_ReadsWhatIsExpectedOfASend(t *testing.T) {
	sc, err := scenario.Parse("send.txt", []byte(`# About.
height 1
tree r(a b c)
strangers x
at 1s  send one 3 times of 2 KiB from a to all x nil awaited
         a b: delivered or timeout, within 2s, after 1s
         nil: no route, told by r
         settled: after 1s
         others: unreachable
`), scenario.Duplex)
	require.NoError(t, err)

	some := scenario.Outcome{
		Window:  scenario.Window{After: time.Second, Within: 2 * time.Second},
		Reasons: []session.Reason{scenario.Delivered, session.ReasonTimeout},
	}
	others := scenario.Outcome{Window: anytime, Reasons: []session.Reason{session.ReasonUnreachable}}

	require.Equal(t, &scenario.Send{
		Message: "one", Times: 3, Size: 2048, Awaited: true, From: "a", To: []string{"r", "a", "b", "c", "x", ""},
		Settled: scenario.Window{After: time.Second, Within: -1},
		Want: map[string]scenario.Outcome{
			"r": others, "a": some, "b": some, "c": others, "x": others,
			"": {Window: anytime, Hop: "r", Reasons: []session.Reason{session.ReasonNoRoute}},
		},
	}, sc.Steps[0].Action)
}

func TestParse_LeavesOutWhatIsForOtherLinks(t *testing.T) {
	text := []byte(`# About.
links duplex mixed
height 1
tree r(a b)
at 1s  send one to a in mixed # and a comment
         settled: within 1s
at 1s  send one to a in duplex
         a: delivered in mixed
         a: timeout in duplex
at 2s  expect end "in unicast" in duplex mixed
`)

	duplex, err := scenario.Parse("links.txt", text, scenario.Duplex)
	require.NoError(t, err)
	require.Equal(t, []scenario.Links{scenario.Duplex, scenario.Mixed}, duplex.Links)
	require.Len(t, duplex.Steps, 2)
	require.Equal(t, 7, duplex.Steps[0].Line)
	require.Equal(t, []session.Reason{session.ReasonTimeout},
		duplex.Steps[0].Action.(*scenario.Send).Want["a"].Reasons)

	mixed, err := scenario.Parse("links.txt", text, scenario.Mixed)
	require.NoError(t, err)
	require.Len(t, mixed.Steps, 2)
	require.Equal(t, 5, mixed.Steps[0].Line)
	require.Equal(t, time.Second, mixed.Steps[0].Action.(*scenario.Send).Settled.Within)
	require.Equal(t, scenario.ExpectEnd{Text: "in unicast"}, mixed.Steps[1].Action)
}

func TestParse_ScenarioIsComplete(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "bad.txt: there is no tree",
		"height 2":                           "bad.txt:1: a scenario begins with a comment",
		"# About.\nheight 2":                 "bad.txt: there is no tree",
		"# About.\ntree r":                   "bad.txt: there is no height",
		"# About.\nheight 1\ntree r":         "bad.txt: nothing happens",
		"# About.\nheight 1\nat 0s open":     "bad.txt:3: the tree must stand before the first step",
		"# About.\n  height 2":               "bad.txt:2: the line is indented, but belongs to no send or open",
		"# About.\ntree r\nat 0s open\ntree": "bad.txt:4: \"tree\" must stand before the first step",
	} {
		_, err := scenario.Parse("bad.txt", []byte(text), scenario.Duplex)
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func TestParse_BadHeadersAreErrorsWithTheirLine(t *testing.T) {
	for line, want := range map[string]string{
		"wall 3":                     `"wall" is no part of a scenario`,
		"height":                     `the height is missing`,
		"height -1":                  `the height must be a positive number, not "-1"`,
		"height 2 3":                 `nobody knows what "3" means here`,
		"mode fast":                  `the mode is plain or tls, not "fast"`,
		"links":                      `the links are missing`,
		"links fast":                 `the links must be one of ["duplex" "unicast" "mixed"], not "fast"`,
		"links mixed duplex mixed":   `mixed links are there twice`,
		"tree q":                     `there is a tree already`,
		"strangers a":                `"a" is there twice`,
		"strangers All":              `"All" is no name`,
		"strangers all":              `"all" means something else`,
		"peer z never acks":          `"z" is no node: there are orchestrator r a b`,
		"peer a eats":                `what a peer does must be one of ["never speaks" `,
		"peer orchestrator is":       `the orchestrator is no player`,
		"existing":                   `the name of a node is missing`,
		"existing z":                 `"z" is no node: there are orchestrator r a b`,
		"existing a b a":             `"a" is something else already`,
		"handler a sings":            `what a handler does must be one of ["reads" `,
		"handler orchestrator fails": `the orchestrator has no handler`,
		"option speed 3":             `"speed" is no option`,
		"option outcome 3":           `the outcome deadline must be a time such as 1m30s, not "3"`,
	} {
		_, err := scenario.Parse("bad.txt", []byte("# About.\nheight 2\ntree r(a b)\n"+line), scenario.Duplex)
		require.ErrorContains(t, err, "bad.txt:4: "+want, "%q", line)
	}
}

func TestParse_BadTreesAreErrors(t *testing.T) {
	for tree, want := range map[string]string{
		"":        "the tree has nobody in it",
		"r a":     `the tree must have one root: "a" stands beside it`,
		"r(a":     "a parenthesis is not closed",
		"r(a))":   "a parenthesis closes that was not opened",
		"(r)":     "a parenthesis must follow the name of a node",
		"r(a)(b)": "a parenthesis must follow the name of a node",
		"r(a a)":  `"a" is there twice`,
		"r(a, b)": `"," is no name`,
	} {
		_, err := scenario.Parse("bad.txt", []byte("# About.\ntree "+tree), scenario.Duplex)
		require.ErrorContains(t, err, "bad.txt:2: "+want, "%q", tree)
	}
}

func TestParse_BadStepsAreErrorsWithTheirLine(t *testing.T) {
	for line, want := range map[string]string{
		"at soon open":                     `the time must be a time such as 1m30s, not "soon"`,
		"at 1s open":                       `1s is before the last step, at 2s`,
		"at 3s explode":                    `nobody knows how to "explode"`,
		"at 3s open now":                   `nobody knows what "now" means here`,
		"at 3s stop z":                     `"z" is no node`,
		"at 3s stop b":                     `"b" is a peer that never acks`,
		"at 3s cut a and b":                `nobody knows what "and b" means here`,
		"at 3s cut a from a":               `"a" has no link to itself`,
		"at 3s lose a and b":               `"to" is expected instead of "and b"`,
		"at 3s delay a":                    `the delay is missing`,
		"at 3s send":                       `the name of the message is missing`,
		"at 3s send Two to a":              `"Two" is no name of a message`,
		"at 3s send one to a":              `message "one" is sent in line 6 already`,
		"at 3s send two a":                 `"to" is expected instead of "a"`,
		"at 3s send two 0 times to a":      `the number of messages must be a positive number, not "0"`,
		"at 3s send two to":                `the destination is missing`,
		"at 3s send two to z":              `"z" is no node`,
		"at 3s expect luck":                `"luck" is no node`,
		"at 3s expect a received":          `the number of messages is missing`,
		"at 3s expect a got 3":             `"received" is expected instead of "got 3"`,
		"at 3s expect no packets since 3s": `3s is not in the past`,
		"at 3s expect end early":           `what the error says must be a text in quotes, not "early"`,
		"at 3s expect end \"early":         `the quote is not closed`,
		"at 3s cancel in":                  `the links are missing`,
		"at 3s cancel in time":             `the links must be one of ["duplex" "unicast" "mixed"], not "time"`,
		"at 3s cancel in unicast":          `the scenario is not for unicast links`,
	} {
		_, err := scenario.Parse("bad.txt", []byte("# About.\nlinks duplex\nheight 2\ntree r(a b)\npeer b never acks\n"+
			"at 2s send one to a\n"+line), scenario.Duplex)
		require.ErrorContains(t, err, "bad.txt:7: "+want, "%q", line)
	}
}

func TestParse_BadClausesAreErrorsWithTheirLine(t *testing.T) {
	for clause, want := range map[string]string{
		"b: delivered":                        `"b" is no destination: there are a x`,
		"a delivered":                         `"delivered" is no destination`,
		"a":                                   `a colon is missing`,
		"a: late":                             `an outcome is delivered, or a reason such as timeout, not "late"`,
		"a: timeout within 3s":                `nobody knows what "within 3s" means here`,
		"a: timeout, soon":                    `"within or after" is expected instead of "soon"`,
		"a: timeout, after 3s, within 2s":     `nothing is after 3s and within 2s`,
		"a: delivered, told by r":             `nobody tells what has been delivered`,
		"settled: soon":                       `"within or after" is expected instead of "soon"`,
		"a: timeout\n  x a: delivered":        `something else is expected of "a" already`,
		"a: timeout\nat 3s cancel\n  a: lost": `the line is indented, but belongs to no send or open`,
	} {
		text := "# About.\nheight 2\ntree r(a b)\nstrangers x\nat 2s send one to a x\n  " + clause
		_, err := scenario.Parse("bad.txt", []byte(text), scenario.Duplex)
		require.ErrorContains(t, err, want, "%q", clause)
		require.Regexp(t, `^bad.txt:[678]: `, err.Error())
	}
}
