//go:build !linux

package minogrpc

import "time"

// setUserTimeout does nothing where there is no such option: the kernel then gives
// data up that is not acknowledged after its own time, usually some minutes.
func setUserTimeout(uintptr, time.Duration) error {
	return nil
}
