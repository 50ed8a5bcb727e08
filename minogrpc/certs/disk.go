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

// ErrDamaged is for an address about which the storage holds something that is no chain. Who
// the node there is can be learned anew.
var ErrDamaged = errors.New("damaged file")

// DiskStore is a [Storage] that keeps the chains in a folder, in a file for each
// address, and in memory. Its methods may be used from several goroutines at once.
//
// A file holds the certificates of the chain in PEM form, that of the node first,
// so that `openssl x509 -in FILE -text` prints it. Its name is the text form of the
// address, in its follower form, with an underscore and two hexadecimal digits for
// each byte that is not a small letter, a digit, a dot or a hyphen. A file is
// replaced as a whole: after a crash, also of the machine, it is the one before or
// the one that was stored. Files of other names are left alone.
//
// A file that cannot be read as a chain, or has more than 1 MiB, is an error of its
// address alone, which Load and Range return and which names the file. Store
// replaces such a file, and Delete removes it.
//
// The folder is read once, when it is opened: what somebody else writes to it
// counts from the next opening. It is that of one process, as another one would not
// see what this one stores: a lock keeps others out, where the system has one that
// ends with the process. Several stores of one process may share the folder, and do
// not see either what the others store.
type DiskStore struct {
	folder  string
	factory mino.AddressFactory

	watchers watchers

	// unlock gives the folder up.
	unlock func() error

	// writing is held while the folder changes, and acquired before mu: what is in
	// memory is what is on the disk, whoever writes at the same time.
	writing sync.Mutex

	// mu is not held while the disk works: Load is on the way of every call.
	mu sync.RWMutex
	// entries is keyed by the follower form, like the chains of an [InMemoryStore].
	entries map[mino.Address]entry
}

// entry is what a file holds: a chain, or why there is none.
type entry struct {
	chain CertChain
	err   error
}

// NewDiskStore returns a store with what is in the folder. It makes the folder,
// for the owner alone, if there is none, and removes from it what a crash has left
// half written. The factory reads the text form of the addresses. Files that are
// damaged are no error here; a folder that cannot be made or read is, and one that
// another process uses, which is [ErrInUse]. The disk need not be one that can be
// written. The folder is free for another process after Close, or when the process ends.
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

// open makes and locks the folder, and reads it.
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

// Close gives the folder up. Nothing waits to be written, and what is in memory stays. Do not
// change the store any more. Close may be called more than once.
func (s *DiskStore) Close() error {
	return s.unlock()
}

// read fills the memory with what is in the folder. It is called before anybody
// else has the store.
func (s *DiskStore) read() error {
	files, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}

	for _, file := range files {
		path := filepath.Join(s.folder, file.Name())

		if isFresh(file.Name()) {
			_ = os.Remove(path) // if it stays it does no harm
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

// damaged returns the entry of a file that holds no chain. An operator will look
// for the file by the one or by the other.
func damaged(addr mino.Address, path string, cause error) entry {
	return entry{err: fmt.Errorf("certificate of %v in %s: %w: %w", addr, path, ErrDamaged, cause)}
}

// Store implements [Storage]. It returns when the chain is on the disk. Unlike the
// store in memory it takes only a chain that it could read again, of at least one
// certificate, all of them well formed and with at most 1 MiB in PEM form, and only
// an address that fits the name of a file: about 230 letters of host and port,
// fewer when there are others than small ones. When it returns an error the one
// before stays, but for one case: when the error is of the folder itself, which
// could not be written down, the new chain counts and may be gone after a crash of
// the machine.
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

// write replaces the file, and tells whether the chain counts from now on.
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

// Load implements [Storage]. It never waits for the disk. The error is that of a
// damaged file.
func (s *DiskStore) Load(addr mino.Address) (CertChain, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	found := s.entries[session.FollowerOf(addr)]

	return found.chain, found.err
}

// Delete implements [Storage]. It returns when the file is gone from the disk.
// When it returns an error the chain stays, or comes back after a crash.
func (s *DiskStore) Delete(addr mino.Address) error {
	if addr == nil {
		return nil
	}

	addr = session.FollowerOf(addr)

	// What cannot have a file has none.
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

// remove removes the file, and tells whether the chain does not count from now on.
func (s *DiskStore) remove(addr mino.Address, name string) (gone bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()

	// Somebody may have made the file after the opening. Who deletes an address does
	// not want it back at the next one.
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

// Range implements [Storage]. Like that of the store in memory it goes through
// what the store holds when it is called, with the addresses in their follower
// form. It leaves out the addresses whose files are damaged, and returns their
// errors, joined, after the others; none when the function has stopped it.
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

// Fetch implements [Storage]. It gives the node 10 seconds to present its chain.
func (s *DiskStore) Fetch(addr Dialable, digest []byte) error {
	return fetchInto(s, addr, digest)
}

// Hash implements [Storage]. It is the SHA-256 digest of all the bytes of the
// chain. The error is always nil.
func (s *DiskStore) Hash(chain CertChain) ([]byte, error) {
	return digestOf(chain), nil
}
