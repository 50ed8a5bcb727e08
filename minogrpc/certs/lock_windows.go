package certs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// lockName is the file that stands for the folder. It is no name of an address.
	lockName = "_lock"

	// These have no names in the standard library.
	deleteOnClose    = 0x04000000
	sharingViolation = syscall.Errno(32)
)

// lockFile opens a file that nobody else can open meanwhile. The system removes it when the
// process ends. A folder that cannot be written has no lock.
func lockFile(folder string) (*os.File, error) {
	path := filepath.Join(folder, lockName)

	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}

	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL|deleteOnClose, 0)

	switch {
	case err == nil:
		return os.NewFile(uintptr(handle), path), nil
	case errors.Is(err, sharingViolation):
		return nil, ErrInUse
	default:
		return nil, nil
	}
}
