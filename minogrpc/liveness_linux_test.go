package minogrpc_test

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// The options of TCP, as Linux numbers them.
const (
	tcpKeepIdle     = 4
	tcpKeepInterval = 5
	tcpKeepCount    = 6
	tcpUserTimeout  = 18
)

// socketsAt returns the sockets of this process that belong to a connection of the
// port, at either end.
func socketsAt(t *testing.T, port int) []int {
	t.Helper()

	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)

	var sockets []int

	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		require.NoError(t, err)

		peer, err := syscall.Getpeername(fd)
		if err != nil {
			continue // It is no socket, or not that of a connection.
		}

		local, err := syscall.Getsockname(fd)
		require.NoError(t, err)

		if portOf(peer) == port || portOf(local) == port {
			sockets = append(sockets, fd)
		}
	}

	return sockets
}

func portOf(addr syscall.Sockaddr) int {
	switch addr := addr.(type) {
	case *syscall.SockaddrInet4:
		return addr.Port
	case *syscall.SockaddrInet6:
		return addr.Port
	default:
		return 0
	}
}

// optionsOf reads the options of a socket back.
func optionsOf(t *testing.T, fd int) map[int]int {
	t.Helper()

	got := make(map[int]int)

	for _, option := range []int{tcpKeepIdle, tcpKeepInterval, tcpKeepCount, tcpUserTimeout} {
		value, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, option)
		require.NoError(t, err)

		got[option] = value
	}

	enabled, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	require.NoError(t, err)
	require.Equal(t, 1, enabled)

	return got
}

// Promise L1: the kernels at both ends of a connection look after it, and give it
// up within the liveness bound.
func TestLiveness_SocketsAreWatched(t *testing.T) {
	cases := map[string]struct {
		opts []minogrpc.Option
		want map[int]int
	}{
		"default": {nil, map[int]int{tcpKeepIdle: 4, tcpKeepInterval: 2, tcpKeepCount: 3, tcpUserTimeout: 10_000}},
		"longer": {
			[]minogrpc.Option{minogrpc.WithLiveness(time.Minute)},
			map[int]int{tcpKeepIdle: 24, tcpKeepInterval: 12, tcpKeepCount: 3, tcpUserTimeout: 60_000},
		},
		"as short as possible": {
			[]minogrpc.Option{minogrpc.WithLiveness(500 * time.Millisecond)},
			map[int]int{tcpKeepIdle: 1, tcpKeepInterval: 1, tcpKeepCount: 3, tcpUserTimeout: 500},
		},
		"the longest": {
			[]minogrpc.Option{minogrpc.WithLiveness(math.MaxInt64)},
			map[int]int{tcpKeepIdle: 32767, tcpKeepInterval: 17280, tcpKeepCount: 3, tcpUserTimeout: 86_400_000},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			node := start(t, append(tc.opts, transport())...)
			rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
			requireCall(t, rpc, node)

			_, digits, _ := strings.Cut(node.GetAddress().(certs.Dialable).GetDialAddress(), ":")
			port, err := strconv.Atoi(digits)
			require.NoError(t, err)

			sockets := socketsAt(t, port)
			require.Len(t, sockets, 2)

			for _, fd := range sockets {
				require.Equal(t, tc.want, optionsOf(t, fd))
			}
		})
	}
}
