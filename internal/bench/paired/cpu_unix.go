//go:build unix

package paired

import (
	"syscall"
	"time"
)

// processorTime returns how long the process has had a processor so far.
func processorTime() (time.Duration, error) {
	var used syscall.Rusage

	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}

	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
