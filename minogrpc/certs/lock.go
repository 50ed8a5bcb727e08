package certs

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// ErrInUse is the error of [NewDiskStore] for a folder that another process has open.
var ErrInUse = errors.New("another process uses the folder")

// locks has the folders that this process holds, by their path without links. The stores of one process
// may share a folder; a lock keeps out other processes.
var locks = struct {
	mu   sync.Mutex
	held map[string]*folderLock
}{held: make(map[string]*folderLock)}

// folderLock is a folder that this process holds. The system frees it when the process ends.
type folderLock struct {
	path string
	// file is nil on systems, and for folders, that have no locks.
	file *os.File
	// stores is how many stores of this process use it. The mutex of the locks guards it.
	stores int
}

// lockFolder takes the folder for this process. It returns ErrInUse if another process has it.
func lockFolder(folder string) (*folderLock, error) {
	path, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}

	locks.mu.Lock()
	defer locks.mu.Unlock()

	lock := locks.held[path]
	if lock == nil {
		file, err := lockFile(path)
		if err != nil {
			return nil, err
		}

		lock = &folderLock{path: path, file: file}
		locks.held[path] = lock
	}

	lock.stores++

	return lock, nil
}

// release frees the folder when the last store that uses it is closed.
func (l *folderLock) release() error {
	locks.mu.Lock()
	defer locks.mu.Unlock()

	l.stores--
	if l.stores > 0 {
		return nil
	}

	delete(locks.held, l.path)

	if l.file == nil {
		return nil
	}

	return l.file.Close()
}
