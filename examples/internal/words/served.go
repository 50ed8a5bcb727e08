package words

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is the size of the largest file that is counted, in bytes. What a member asks for must
// not fill the memory.
const maxFile = 16 << 20

var (
	errNotServed = errors.New("the folder is not served here")
	errNoFile    = errors.New("not a regular file")
	errLarge     = fmt.Errorf("more than %d bytes", maxFile)
)

// Serving returns a handler that counts only what is in the folder, or below it. Neither a name
// with dots nor a link leads out of it.
func (w Worker) Serving(folder string) Worker {
	w.served = folder

	return w
}

// open returns the folder that a request names, and what closes it.
func (w Worker) open(dir string) (fs.FS, io.Closer, error) {
	if w.served == "" {
		return os.DirFS(dir), io.NopCloser(nil), nil
	}

	below, err := filepath.Rel(w.served, dir)
	if err != nil || !filepath.IsLocal(below) {
		return nil, nil, fmt.Errorf("%q: %w", dir, errNotServed)
	}

	served, err := os.OpenRoot(w.served)
	if err != nil {
		return nil, nil, fmt.Errorf("open the folder: %w", err)
	}

	defer func() { _ = served.Close() }() // the other one stays open

	root, err := served.OpenRoot(below)
	if err != nil {
		return nil, nil, fmt.Errorf("open the folder: %w", err)
	}

	return root.FS(), root, nil
}

// readFile returns what is in a regular file. A device would never end, and a pipe never begin.
func readFile(folder fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(folder, name)
	if err != nil {
		return nil, err
	}

	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w", name, errNoFile)
	}

	file, err := folder.Open(name)
	if err != nil {
		return nil, err
	}

	defer func() { _ = file.Close() }() // nothing was written

	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%q: %w", name, errLarge)
	}

	return data, err
}
