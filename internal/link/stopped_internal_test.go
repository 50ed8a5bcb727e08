//go:build unix

package link

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// stoppable is the name of the variable that makes this test the process that is stopped.
const stoppable = "LINK_STOPPABLE"

// polite is a connection whose neighbour answers a goodbye some time after it was said.
type polite struct {
	said, answered chan struct{}
}

func (c polite) Carry(context.Context, *Parcel) (*ptypes.Ack, error) { return &ptypes.Ack{}, nil }
func (c polite) Release()                                            {}

func (c polite) Goodbye() bool {
	close(c.said)

	return true
}

func (c polite) Recv() (*ptypes.Packet, error) {
	<-c.answered

	return nil, io.EOF
}

// announcer is an owner that waits for the link to open.
type announcer struct {
	latecomer

	opened chan struct{}
}

func (o *announcer) Opened(*Link) { close(o.opened) }

// Promises L1, L6: a goodbye is not cut short by the time in which this process is stopped.
func TestClose_WaitsForTheNeighbourWhileTheProcessIsStopped(t *testing.T) {
	if os.Getenv(stoppable) != "" {
		part()

		return
	}

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), stoppable+"=1")

	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	said := make([]byte, 1)
	_, err = out.Read(said)
	require.NoError(t, err)

	// What is waited for is that the process does nothing, which nothing can signal.
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	<-time.After(Goodbye + Goodbye/5)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))

	require.NoError(t, cmd.Wait(), "the link was released before the neighbour could answer")
}

// part is the process that is stopped. It exits with an error if the link does not wait for the
// neighbour, which answers a little after the process goes on.
func part() {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, syscall.SIGCONT)

	c := polite{said: make(chan struct{}), answered: make(chan struct{})}
	o := &announcer{opened: make(chan struct{})}
	l := Dial(Config{Owner: o, Setup: time.Minute, Asking: time.Minute, Calls: 1},
		func(context.Context) (Connection, error) { return Connection{Calls: c}, nil })

	<-o.opened
	l.Close()
	<-c.said

	_, _ = os.Stdout.WriteString("s")

	<-resumed

	select {
	case <-l.Parted():
		os.Exit(1)
	case <-time.After(Goodbye / 4):
		close(c.answered)
		<-l.Released()
	}
}
