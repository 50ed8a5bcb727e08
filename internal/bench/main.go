// Command bench compares sessions with raw gRPC and prints one table of ratios.
//
//	go run ./internal/bench                # everything, a few minutes
//	go run ./internal/bench -quick         # everything, roughly, in half a minute
//	go run ./internal/bench -only 'hop.*TLS' -mode duplex -rounds 25
//
// A figure is the median over rounds. Each round runs the raw side and then ours in
// each mode, in the same process, both ends over the loopback interface, and gives one
// ratio for each: what else happens on the machine falls on all sides. Next to it is
// the spread, from the first to the third quartile. docs/performance.md says what each
// row means.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
	"google.golang.org/grpc"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	plan

	only    *regexp.Regexp
	profile string
	budget  time.Duration
	list    bool
	scale   bool
}

// The two plans that the flags choose from.
var (
	thorough = plan{
		Plan:     paired.Plan{Rounds: 15, Slice: 30 * time.Millisecond},
		inFlight: inFlight, players: maxPlayers, large: largest, burst: burst,
		rest: 2 * time.Second, modes: allModes,
	}
	quick = plan{
		Plan:     paired.Plan{Rounds: 3, Slice: 2 * time.Millisecond},
		inFlight: inFlight, players: maxPlayers, large: largest, burst: burst,
		rest: 2 * time.Second, modes: allModes,
	}
)

// parse reads the flags.
func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	hurry := flags.Bool("quick", false, "few and short rounds, for figures that are only roughly right")
	only := flags.String("only", ".", "measure only what matches the `regexp`, in any case of letters")
	among := flags.String("mode", "duplex,unicast,mixed", "how the players are linked, as a `list` with commas")
	budget := flags.Duration("budget", 4*time.Minute, "how `long` it may take, with fewer rounds on a busy machine")
	rounds := flags.Int("rounds", 0, "how many rounds each figure is the median of (default 15)")
	profile := flags.String("cpuprofile", "", "write a CPU profile to the `file`; the tag side tells ours from raw")
	scale := flags.Bool("scale", false, "print what a round costs with 100 to 5,000 players, and nothing else")
	cpu := flags.Bool("cpu", false, "compare processor time, which says more on a busy machine")
	list := flags.Bool("list", false, "print what there is to measure, and do not")

	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}

	pattern, err := regexp.Compile("(?i)" + *only)
	if err != nil {
		return settings{}, fmt.Errorf("-only: %w", err)
	}

	s := settings{plan: thorough, only: pattern, profile: *profile, budget: *budget, list: *list, scale: *scale}
	if *hurry {
		s.plan = quick
	}

	s.CPU = *cpu

	// Whoever asks for a number of rounds gets it.
	if *rounds > 0 {
		s.Rounds, s.budget = *rounds, 0
	}

	s.modes, err = parseModes(*among)

	return s, err
}

// run measures what the arguments ask for. The table grows row by row, so that one
// who waits sees something.
func run(args []string, out io.Writer) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}

	if s.profile != "" {
		stop, err := startProfile(s.profile)
		if err != nil {
			return err
		}

		defer func() { err = errors.Join(err, stop()) }()
	}

	t := &table{out: out}
	if !s.list {
		t.printf("%s, %s/%s, %d cores, grpc %s, median of %d rounds (and their quartiles)\n",
			runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), grpc.Version, s.Rounds)
	}

	if s.scale {
		return measureScale(t, 100, 1000, 2000, 5000)
	}

	columns := make([]string, len(s.modes))
	for i, m := range s.modes {
		columns[i] = string(m)
	}

	begin := time.Now()
	links, others := s.chosen(overModes()), s.chosen(once())
	end := deadline{left: len(links) + len(others)}

	if s.budget > 0 {
		end.at = begin.Add(s.budget)
	}

	if err := s.measure(t, &end, links, columns...); err != nil {
		return err
	}

	if err := s.measure(t, &end, others, "figure"); err != nil {
		return err
	}

	if !s.list {
		t.printf("\n%v\n", time.Since(begin).Round(time.Second))
	}

	return t.err
}

// chosen returns what is asked for.
func (s settings) chosen(group []measurement) []measurement {
	return slices.DeleteFunc(group, func(m measurement) bool { return !s.only.MatchString(m.name) })
}

// measure adds a group of rows with the same columns, if there is any.
func (s settings) measure(t *table, end *deadline, group []measurement, columns ...string) error {
	if len(group) > 0 && !s.list {
		t.head(columns...)
	}

	for _, m := range group {
		if s.list {
			t.printf("%s\n", m.name)

			continue
		}

		s.Until = end.next()

		if err := m.run(s.plan, t); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}

	return nil
}

// deadline shares the time that is left among the measurements that are left. Without a time
// there is no end.
type deadline struct {
	at   time.Time
	left int
}

// next returns when the next measurement is to end.
func (d *deadline) next() time.Time {
	if d.at.IsZero() {
		return d.at
	}

	share := time.Until(d.at) / time.Duration(d.left)
	d.left--

	return time.Now().Add(share)
}

// startProfile starts to profile and returns what ends it.
func startProfile(name string) (stop func() error, err error) {
	file, err := os.Create(name) //nolint:gosec // the user of the command chooses the file
	if err != nil {
		return nil, err
	}

	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}

	return func() error {
		pprof.StopCPUProfile()

		return file.Close()
	}, nil
}
