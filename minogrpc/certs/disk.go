package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

var errNoFactory = errors.New("no address factory")

// ErrDamaged is the error for an address for which the storage holds something that is no chain. A node
// can learn anew which certificate belongs there.
var ErrDamaged = errors.New("damaged file")

// DiskStore is a [Storage] that keeps the chains in memory and in a folder, with one file for each
// address. Its methods may be used from several goroutines at once.
//
// A file holds the certificates of the chain in PEM form, that of the node first. So
// `openssl x509 -in FILE -text` prints the certificate of the node. The name of the file is the text of
// the address in its follower form. In the name, an underscore and two hexadecimal digits stand for each
// byte that is not a small letter, a digit, a dot or a hyphen. The store replaces a file as a whole.
// After a crash, also of the machine, the old file or the new one is there. The store leaves files of
// other names alone.
//
// If a file is no chain, or has more than 1 MiB, only its address has an error. Load and Range return
// that error, which names the file. Store replaces such a file, and Delete removes it.
//
// The store reads the folder once, in [NewDiskStore]. What somebody else writes to the folder counts
// when a process opens it again. Only one process may have the folder open, because another one would
// not see what the first one stores. A lock keeps others out on systems that have locks that end with
// their process. Several stores of one process may share the folder, but do not see what the others
// store.
type DiskStore struct {
	folder  string
	factory mino.AddressFactory

	watchers watchers

	// unlock frees the folder for other processes.
	unlock func() error

	// writing is held while the folder changes. It is acquired before mu, so that the memory and the
	// disk get the changes in the same order.
	writing sync.Mutex

	// mu is not held while the disk works, because every call of a node waits for Load.
	mu sync.RWMutex
	// entries is keyed by the follower form, like the chains of an [InMemoryStore].
	entries map[mino.Address]entry
}

// entry is what a file holds: a chain, or the error of a damaged file.
type entry struct {
	chain CertChain
	err   error
}

// NewDiskStore returns a store with what is in the folder. If there is no folder it makes one, for the
// owner alone. It removes files that a crash has left half written. The factory reads the texts of the
// addresses.
//
// It returns an error for a nil factory, for a folder that it cannot make or read, and for a folder that
// another process uses: that error wraps [ErrInUse]. A damaged file is no error here. An existing folder
// may be on a read-only disk. The folder is free for another process after Close, and when the process
// ends.
func NewDiskStore(folder string, factory mino.AddressFactory) (*DiskStore, error) {
	if factory == nil {
		return nil, errNoFactory
	}

	// The process may change its working directory later.
	path, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("open certificate store: %w", err)
	}

	s := &DiskStore{folder: path, factory: factory, entries: make(map[mino.Address]entry)}

	if err = s.open(); err != nil {
		return nil, fmt.Errorf("open certificate store: %w", err)
	}

	return s, nil
}

// open makes the folder, locks it and reads it.
func (s *DiskStore) open() error {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}

	lock, err := lockFolder(s.folder)
	if err != nil {
		return fmt.Errorf("%s: %w", s.folder, err)
	}

	s.unlock = sync.OnceValue(lock.release)

	if err = s.read(); err != nil {
		return errors.Join(err, s.Close())
	}

	return nil
}

// Close frees the folder for other processes. There is nothing left to write, and Load and Range go on
// to work. Do not call Store or Delete after it. Close may be called more than once.
func (s *DiskStore) Close() error {
	return s.unlock()
}

// read fills the memory with what is in the folder. It runs before anybody else has the store.
func (s *DiskStore) read() error {
	files, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}

	for _, file := range files {
		path := filepath.Join(s.folder, file.Name())

		if isFresh(file.Name()) {
			_ = os.Remove(path) // If it stays it does no harm.
		}

		if addr, ok := parseFileName(file.Name(), s.factory); ok {
			s.entries[addr] = readEntry(addr, path)
		}
	}

	return nil
}

// readEntry returns what the file holds for the address.
func readEntry(addr mino.Address, path string) entry {
	text, err := readFile(path)
	if err != nil {
		return damaged(addr, path, err)
	}

	chain, err := decodeChain(text)
	if err != nil {
		return damaged(addr, path, err)
	}

	return entry{chain: chain}
}

// damaged returns the entry of a file that holds no chain. Its text has both the address and the path,
// by which an operator may look for the file.
func damaged(addr mino.Address, path string, cause error) entry {
	return entry{err: fmt.Errorf("certificate of %v in %s: %w: %w", addr, path, ErrDamaged, cause)}
}

// Store implements [Storage]. It returns when the chain is on the disk. Unlike the store in memory it
// takes only a chain that it could read again: at least one certificate, all of them well formed, and at
// most 1 MiB in PEM form. The address must fit into the name of a file: about 230 bytes of host and
// port, or fewer if some of them take three bytes in the name.
//
// If Store returns an error, the old chain stays. There is one exception: if the system could not write
// down the names in the folder, the new chain counts, and may be gone after a crash of the machine.
func (s *DiskStore) Store(addr mino.Address, chain CertChain) error {
	if addr == nil {
		return errNoAddress
	}

	addr = session.FollowerOf(addr)

	err := s.store(addr, chain)
	if err != nil {
		return fmt.Errorf("store certificate of %v: %w", addr, err)
	}

	return nil
}

func (s *DiskStore) store(addr mino.Address, chain CertChain) error {
	name, err := fileName(addr)
	if err != nil {
		return err
	}

	text, err := encodeChain(chain)
	if err != nil {
		return err
	}

	if len(text) > maxFileSize {
		return errTooLarge
	}

	changed, err := s.write(addr, name, text, chain)
	if changed {
		s.watchers.tell(addr)
	}

	return err
}

// write replaces the file. It tells whether the new chain counts from now on.
func (s *DiskStore) write(addr mino.Address, name string, text []byte, chain CertChain) (changed bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()

	if err = replaceFile(filepath.Join(s.folder, name), text); err != nil {
		return false, err
	}

	s.mu.Lock()
	s.entries[addr] = entry{chain: slices.Clone(chain)}
	s.mu.Unlock()

	return true, syncFolder(s.folder)
}

// Load implements [Storage]. It never waits for the disk. It returns an error only for a damaged file.
func (s *DiskStore) Load(addr mino.Address) (CertChain, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	found := s.entries[session.FollowerOf(addr)]

	return found.chain, found.err
}

// Delete implements [Storage]. It returns when the file is gone from the disk. If it returns an error,
// the chain stays, or may come back after a crash of the machine.
func (s *DiskStore) Delete(addr mino.Address) error {
	if addr == nil {
		return nil
	}

	addr = session.FollowerOf(addr)

	// An address that cannot have a file has none.
	if name, err := fileName(addr); err == nil {
		return s.deleteFile(addr, name)
	}

	return nil
}

// deleteFile is Delete for an address that may have a file.
func (s *DiskStore) deleteFile(addr mino.Address, name string) error {
	gone, err := s.remove(addr, name)
	if gone {
		s.watchers.tell(addr)
	}

	if err != nil {
		return fmt.Errorf("delete certificate of %v: %w", addr, err)
	}

	return nil
}

// remove removes the file. It tells whether the chain is gone from now on.
func (s *DiskStore) remove(addr mino.Address, name string) (gone bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()

	// Somebody may have made the file after this store read the folder. It must not come back when a
	// process opens the folder again.
	err = os.Remove(filepath.Join(s.folder, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}

	s.mu.Lock()
	delete(s.entries, addr)
	s.mu.Unlock()

	return true, syncFolder(s.folder)
}

// Watch implements [Watchable].
func (s *DiskStore) Watch(changed func(mino.Address)) (stop func()) {
	return s.watchers.watch(changed)
}

// Range implements [Storage]. It goes through what the store holds when Range is called: the function
// may use the store, and Range does not see what changes meanwhile. The addresses are in their follower
// form. Range leaves out the addresses of damaged files, and returns their errors, joined. If the
// function stops it, the error is nil.
func (s *DiskStore) Range(fn func(addr mino.Address, cert CertChain) bool) error {
	s.mu.RLock()
	entries := maps.Clone(s.entries)
	s.mu.RUnlock()

	var failures []error

	for addr, found := range entries {
		switch {
		case found.err != nil:
			failures = append(failures, found.err)
		case !fn(addr, found.chain):
			return nil
		}
	}

	return errors.Join(failures...)
}

// Fetch implements [Storage]. The node has 10 seconds to accept the connection and to present its chain.
func (s *DiskStore) Fetch(addr Dialable, digest []byte) error {
	return fetchInto(s, addr, digest)
}

// Hash implements [Storage]. It returns the SHA-256 digest of all the bytes of the chain. The error is
// always nil.
func (s *DiskStore) Hash(chain CertChain) ([]byte, error) {
	return digestOf(chain), nil
}
