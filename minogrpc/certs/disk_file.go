package certs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	// maxFileSize is what a chain may take on the disk, in bytes. One of a dozen
	// certificates takes a hundredth of it.
	maxFileSize = 1 << 20

	// The names of the files that are being written. None of them is the name of an
	// address: what follows the underscore is not hexadecimal.
	freshPrefix, freshSuffix = "_new-", ".tmp"
)

// errTooLarge is for a chain that takes more than maxFileSize.
var errTooLarge = fmt.Errorf("more than %d bytes", maxFileSize)

// isFresh tells whether the name is that of a file that is being written, or was
// when the process died.
func isFresh(name string) bool {
	return strings.HasPrefix(name, freshPrefix) && strings.HasSuffix(name, freshSuffix)
}

// readFile returns what is in a file of at most maxFileSize bytes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}

	// Opening a pipe would wait for somebody at its other end.
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}

	file, err := os.Open(path) //nolint:gosec // the path is the store's own
	if err != nil {
		return nil, err
	}

	// Nothing was written that could be lost.
	defer func() { _ = file.Close() }()

	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, err
	}

	if len(data) > maxFileSize {
		return nil, errTooLarge
	}

	return data, nil
}

// replaceFile gives the file all of the new content, or leaves it as it is when
// there is an error. Whoever reads it meanwhile sees the one or the other. After a
// crash too, one of them is there.
func replaceFile(path string, data []byte) error {
	fresh, err := writeFresh(filepath.Dir(path), data)
	if err != nil {
		return err
	}

	// A folder in the place of the file can only be removed when it is empty; then
	// nobody misses it. If it is not, the renaming says so.
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		_ = os.Remove(path)
	}

	if err = os.Rename(fresh, path); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}

	return nil
}

// writeFresh writes a new file in the folder, which only the owner may read, and
// returns its path when the content is on the disk.
func writeFresh(folder string, data []byte) (path string, err error) {
	file, err := os.CreateTemp(folder, freshPrefix+"*"+freshSuffix)
	if err != nil {
		return "", err
	}

	_, err = file.Write(data)
	if err == nil {
		// Otherwise the new name could reach the disk before the content does.
		err = file.Sync()
	}

	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}

	return file.Name(), nil
}

// syncFolder returns when the names in the folder are those on the disk.
func syncFolder(folder string) error {
	// Windows has no such thing, and writes names down in order.
	if runtime.GOOS == "windows" {
		return nil
	}

	file, err := os.Open(folder) //nolint:gosec // the path is the store's own
	if err != nil {
		return err
	}

	return errors.Join(file.Sync(), file.Close())
}
