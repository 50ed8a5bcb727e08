package minogrpc

import (
	"os"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not have.
const tcpUserTimeout = 0x12

// setUserTimeout bounds how long sent data may stay unacknowledged. The sockets
// that a listening one accepts inherit it.
func setUserTimeout(fd uintptr, d time.Duration) error {
	err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))

	return os.NewSyscallError("setsockopt", err)
}
