//go:build linux

package attacks_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// flood is how long each attack goes on.
var flood = flag.Duration("flood", 300*time.Millisecond, "how long each attack goes on")

// roleVariable makes this binary one of the other processes instead of the tests.
const roleVariable = "MINOGRPC_ATTACKS_ROLE"

// roles are the other processes.
var roles = map[string]func(in *json.Decoder, out *json.Encoder){
	"victim": runVictim,
	"honest": runHonest,
}

func TestMain(m *testing.M) {
	flag.Parse()

	if role := roles[os.Getenv(roleVariable)]; role != nil {
		role(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))

		return
	}

	goleak.VerifyTestMain(m)
}

// process is one in a role. It answers each value on its input with one on its output.
type process struct {
	t   *testing.T
	in  io.WriteCloser
	out *json.Decoder
}

func startProcess(t *testing.T, role string) *process {
	t.Helper()

	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr

	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})

	return &process{t: t, in: in, out: json.NewDecoder(out)}
}

// ask sends a question, and reads the answer to it.
func (p *process) ask(question, answer any) {
	p.t.Helper()

	require.NoError(p.t, json.NewEncoder(p.in).Encode(question))
	require.NoError(p.t, p.out.Decode(answer))
}

// must is for the other processes, which have no test to fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}

	return value
}
