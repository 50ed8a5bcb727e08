//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package certs

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks the folder itself: that leaves no file behind, and works on a disk that cannot be
// written. A file system without locks gives none.
func lockFile(folder string) (*os.File, error) {
	file, err := os.Open(folder) //nolint:gosec // the path is the store's own
	if err != nil {
		return nil, err
	}

	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)

	switch {
	case err == nil:
		return file, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(ErrInUse, file.Close())
	default:
		return nil, file.Close()
	}
}
