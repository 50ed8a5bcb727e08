//go:build unix

package deadline_test

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/stretchr/testify/require"
)

// stoppable is the name of the variable that makes this test the process that is stopped.
const stoppable = "DEADLINE_STOPPABLE"

// Promise L1: the time in which a process is stopped counts for nobody.
func TestDeadline_DoesNotCountWhileTheProcessIsStopped(t *testing.T) {
	if os.Getenv(stoppable) != "" {
		outlive()

		return
	}

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), stoppable+"=1")

	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	ready := make([]byte, 1)
	_, err = out.Read(ready)
	require.NoError(t, err)

	// What is waited for is that the process does nothing, which nothing can signal.
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	<-time.After(2 * time.Second)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	require.NoError(t, cmd.Process.Signal(syscall.SIGUSR1))

	require.NoError(t, cmd.Wait(), "the deadline has passed while the process was stopped")
}

// outlive is the process that is stopped. It exits with an error if the deadline passes before
// the signal comes that follows.
func outlive() {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGUSR1)

	passed := make(chan struct{})
	d := deadline.Start(1500*time.Millisecond, time.Hour, func() { close(passed) })

	_, _ = os.Stdout.WriteString("r")

	select {
	case <-passed:
		os.Exit(1)
	case <-resumed:
		d.Stop()
	}
}
