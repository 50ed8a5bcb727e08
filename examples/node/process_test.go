//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a process may run: it takes a few seconds. One that hangs is
// killed, and what it has printed says most.
const patience = time.Minute

// process is a node that is a process of its own.
type process struct {
	t    *testing.T
	data string
	cmd  *exec.Cmd

	address, digest, token string

	mu      sync.Mutex
	changed *sync.Cond
	printed []byte
	ended   bool
}

// starts runs a node in a folder, and waits until it is up.
func starts(t *testing.T, data string, args ...string) *process {
	t.Helper()

	// The context of the test would end it before the test has.
	ctx, cancel := context.WithTimeout(context.Background(), patience)

	p := &process{t: t, data: data}
	p.changed = sync.NewCond(&p.mu)
	p.cmd = exec.CommandContext(ctx, os.Args[0], append([]string{"-data", data, "-serve", os.TempDir()}, args...)...)
	p.cmd.Env = append(os.Environ(), childVariable+"=1")
	p.cmd.Stdout = p
	p.cmd.Stderr = p

	require.NoError(t, p.cmd.Start())

	var waiter sync.WaitGroup

	waiter.Go(func() {
		_ = p.cmd.Wait() // its state has what is of interest
		p.end()
	})
	t.Cleanup(func() {
		cancel()
		waiter.Wait()
	})

	p.address = p.await(`Address +(\S+)\n`)
	p.digest = p.await(`Digest +(\S+)\n`)
	p.token = p.await(`Token +(\S+) `)
	p.await(`(Count with)\n`)

	return p
}

// joins runs a node that joins the network of another one.
func joins(t *testing.T, other *process) *process {
	t.Helper()

	return starts(t, private(t), "-join", other.address, "-token", other.token, "-digest", other.digest)
}

// Write implements io.Writer, for what the process prints.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.printed = append(p.printed, text...)
	p.changed.Broadcast()

	return len(text), nil
}

func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.ended = true
	p.changed.Broadcast()
}

// await waits until the process has printed something, and returns the group of it.
func (p *process) await(pattern string) string {
	p.t.Helper()

	p.mu.Lock()
	defer p.mu.Unlock()

	for {
		found := regexp.MustCompile(pattern).FindSubmatch(p.printed)
		if found != nil {
			return string(found[1])
		}

		require.False(p.t, p.ended, "%s has ended without printing %q:\n%s", p.data, pattern, p.printed)
		p.changed.Wait()
	}
}

// signal sends a signal that ends the process, and waits for the end.
func (p *process) signal(s os.Signal) *os.ProcessState {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))

	p.mu.Lock()
	defer p.mu.Unlock()

	for !p.ended {
		p.changed.Wait()
	}

	return p.cmd.ProcessState
}

// text returns a folder of 40 files with 1 to 40 words, 820 in all.
func text(t *testing.T) string {
	t.Helper()

	dir := private(t)
	for i := range 40 {
		name := filepath.Join(dir, fmt.Sprintf("%02d.txt", i))
		require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("word\n", i+1)), 0o600))
	}

	return dir
}

// counts has the node count the 820 words, and returns what is printed.
func (p *process) counts(dir string) string {
	p.t.Helper()

	code, stdout, stderr := runs(p.t.Context(), "count", "-data", p.data, dir)
	require.Zero(p.t, code, stderr)
	require.Empty(p.t, stderr)
	require.Contains(p.t, stdout, "The replies add up to 820 words, and so does the node's own count.\n")

	return stdout
}

// outcomes returns those in the first table of what is printed, by address.
func outcomes(printed string) map[string]string {
	_, tables, _ := strings.Cut(printed, " NODE")
	table, _, _ := strings.Cut(tables, "\n\n")
	found := make(map[string]string)

	for _, row := range regexp.MustCompile(`(?m)^ {2}[✗ ] (grpcs://\S+) {2,}(\w.*)$`).FindAllStringSubmatch(table, -1) {
		found[row[1]] = strings.Join(strings.Fields(row[2]), " ")
	}

	return found
}

// certificateOf returns the file that the folder of a node has about another one.
func certificateOf(t *testing.T, data, address string) string {
	t.Helper()

	_, port, _ := strings.Cut(address, "grpcs://127.0.0.1:")
	files, err := filepath.Glob(filepath.Join(folder(data).certificates(), "*"+port+"*"))
	require.NoError(t, err)
	require.Len(t, files, 1)

	return files[0]
}

// Nodes that are processes find each other, go on without one that is killed, and with it
// when it is back, under its address, with its certificate and without a token.
func TestNode_FiveProcesses(t *testing.T) {
	dir := text(t)
	first := starts(t, private(t))
	all := []*process{first, joins(t, first), joins(t, first), joins(t, first), joins(t, first)}
	lost := all[2]

	everybody := make(map[string]string)
	for _, p := range all {
		everybody[p.address] = "delivered 8 " // of 40 files
	}

	requireOutcomes := func(want map[string]string, printed string) {
		t.Helper()

		got := outcomes(printed)
		require.Len(t, got, len(want), printed)

		for addr, outcome := range want {
			require.True(t, strings.HasPrefix(got[addr], outcome), printed)
		}
	}

	requireOutcomes(everybody, first.counts(dir))

	lost.signal(syscall.SIGKILL)

	printed := first.counts(dir)
	without := maps.Clone(everybody)
	without[lost.address] = "unreachable"

	requireOutcomes(without, printed)
	require.Contains(t, printed, "Asking 4 nodes for their shares of 8 files:", "they are those of the lost one")

	// The log says at its usual level who is lost, and why.
	require.Equal(t, lost.address, first.await(`WRN relay lost error=.+refused.+ noticed=true peer=(\S+) `))
	require.Equal(t, strings.TrimPrefix(lost.address, "grpcs://"), first.await(`WRN dial failed error=.+ peer=(\S+)`))

	back := starts(t, lost.data)
	require.Equal(t, lost.address, back.address)
	require.Equal(t, lost.digest, back.digest)
	require.Equal(t, "5", back.await(`Nodes +(\d+) known`))

	requireOutcomes(everybody, first.counts(dir))
	require.Equal(t, lost.address, first.await(`Back (\S+)`))

	for _, p := range all {
		if p != lost {
			require.Zero(t, p.signal(syscall.SIGTERM).ExitCode(), string(p.printed))
			require.NoFileExists(t, folder(p.data).socket())
		}
	}
}

// A node that comes back learns whom it has missed, also when nobody was there for a while.
func TestNode_LearnsWhomItHasMissed(t *testing.T) {
	first := starts(t, private(t))
	second := joins(t, first)
	second.signal(syscall.SIGINT)

	third := joins(t, first)
	third.signal(syscall.SIGINT)
	first.signal(syscall.SIGKILL)

	second = starts(t, second.data)
	second.await(`(None of the other nodes answers)`)

	starts(t, first.data)
	require.Equal(t, third.address, second.await(`Knows (\S+) now`))
}

// Who comes back, and is not known any more, is told so, and asks nobody again.
func TestNode_SaysWhoRefusesIt(t *testing.T) {
	first := starts(t, private(t))
	second := joins(t, first)
	second.signal(syscall.SIGINT)
	first.signal(syscall.SIGINT)
	require.NoError(t, os.Remove(certificateOf(t, first.data, second.address)))

	starts(t, first.data)

	second = starts(t, second.data)
	require.Equal(t, first.address, second.await(`(\S+) answers, and refuses this node:`))
	second.await(`(Nobody lets this node in)`)

	second.mu.Lock()
	require.NotContains(t, string(second.printed), "None of the other nodes answers")
	second.mu.Unlock()
	require.Zero(t, second.signal(syscall.SIGTERM).ExitCode())

	// The folder has the certificate, so that nothing is missing to ask.
	code, _, stderr := runs(t.Context(), "-data", second.data, "-join", first.address)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "not known here")
}

// What is printed is enough to find the process, and to start it again.
func TestNode_PrintsHowToStartItAgain(t *testing.T) {
	p := starts(t, private(t))
	require.Equal(t, strconv.Itoa(p.cmd.Process.Pid), p.await(`Pid +(\d+)\n`))

	line := strings.Fields(p.await(`Start again with\n +` + program + ` (.*)\n`))
	require.Equal(t, []string{"-data", p.data}, line)
	p.signal(syscall.SIGKILL)

	require.Equal(t, p.address, starts(t, p.data).address)
}

// A file that is damaged costs nobody but the node that it is about, and the others bring that one back.
func TestNode_LeavesOutWhomItCannotRead(t *testing.T) {
	first := starts(t, private(t))
	second, third := joins(t, first), joins(t, first)
	first.await("Knows (" + regexp.QuoteMeta(third.address) + ") now")
	first.signal(syscall.SIGTERM)

	require.NoError(t, os.WriteFile(certificateOf(t, first.data, second.address), []byte("nonsense"), 0o600))

	first = starts(t, first.data)
	first.await(`(Left out): certificate of ` + regexp.QuoteMeta(second.address))
	first.await("Knows (" + regexp.QuoteMeta(second.address) + ") now")

	counted := outcomes(first.counts(text(t)))
	require.Len(t, counted, 3)

	for _, p := range []*process{first, second, third} {
		require.Contains(t, counted[p.address], "delivered")
	}
}

// Who does not want to wait for a node that hangs has not lost it.
func TestNode_CountThatIsGivenUpHarmsNobody(t *testing.T) {
	dir := text(t)
	first := starts(t, private(t))
	second := joins(t, first)

	require.NoError(t, second.cmd.Process.Signal(syscall.SIGSTOP))

	code, _, stderr := runs(t.Context(), "count", "-data", first.data, "-timeout", "300ms", dir)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "more than 300ms")

	require.NoError(t, second.cmd.Process.Signal(syscall.SIGCONT))
	require.NotContains(t, first.counts(dir), "unreachable")
	require.Zero(t, first.signal(syscall.SIGTERM).ExitCode())
}

// awaited ends a context when so many sums have been printed.
type awaited struct {
	sums int
	end  context.CancelFunc
}

// Write implements io.Writer.
func (a *awaited) Write(text []byte) (int, error) {
	a.sums -= strings.Count(string(text), "The replies add up to 820 words")
	if a.sums <= 0 {
		a.end()
	}

	return len(text), nil
}

// A count that goes on is one to look at.
func TestNode_CountsAgainInTheSameStream(t *testing.T) {
	first := starts(t, private(t))
	joins(t, first)

	ctx, cancel := context.WithCancel(t.Context())
	stdout := &awaited{sums: 2, end: cancel}

	var stderr strings.Builder

	command(ctx, []string{"count", "-data", first.data, "-for", "1h", text(t)}, stdout, &stderr)
	require.Zero(t, stdout.sums, stderr.String())
	require.Zero(t, first.signal(syscall.SIGTERM).ExitCode())
}

func TestNode_StrangersAreRefused(t *testing.T) {
	first := starts(t, private(t))
	dir := private(t)

	code, stdout, stderr := runs(t.Context(), "-data", dir, "-join", first.address, "-token", "guessed",
		"-digest", first.digest)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "the token is unknown")
	require.Empty(t, stdout, "the node with the digest is not known yet")
	first.await(`(refused)`)

	digest := strings.Repeat("00", 32)
	code, _, stderr = runs(t.Context(), "-data", private(t), "-join", first.address, "-token", first.token,
		"-digest", digest)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "wrong digest")
}
