package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// anywhere is where a node listens that has never done so, and is not told where.
var anywhere = netip.MustParseAddrPort("127.0.0.1:0")

// maxSocketPath is how long the path of a Unix socket may be everywhere.
const maxSocketPath = 103

// folder is where a node keeps what it is, so that it survives its process. It is that of
// one process at a time: see [listenIn].
type folder string

// certificates is the folder with a file for each node that is known.
func (f folder) certificates() string { return filepath.Join(string(f), "certificates") }

// socket is where the node that runs in the folder can be asked to count.
func (f folder) socket() string { return filepath.Join(string(f), "socket") }

// create makes the folder, for the owner alone, if there is none.
func (f folder) create() error {
	// The system has no words for it.
	if len(f.socket()) > maxSocketPath {
		return fmt.Errorf("%s is too long a path for a socket", f.socket())
	}

	err := os.MkdirAll(string(f), 0o700)
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}

	return checkPrivate(string(f), 0o700)
}

// checkPrivate returns an error for what others than the owner may read or write: what is in the
// folder is who the node is, and whom it believes. Windows has other rights.
func checkPrivate(path string, right fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}

	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf(
			"others may enter or read %s: chmod %o it, and think of the key as known to them", path, right)
	}

	return nil
}

// key returns the key of the node, and makes it the first time: it is who the node is.
func (f folder) key() (*ecdsa.PrivateKey, error) {
	path := filepath.Join(string(f), "key.pem")

	data, err := os.ReadFile(filepath.Clean(path))

	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeKey(path)
	case err != nil:
		return nil, fmt.Errorf("read the key: %w", err)
	}

	err = checkPrivate(path, 0o600)
	if err != nil {
		return nil, err
	}

	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is damaged: there is no PEM in it", path)
	}

	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}

	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has a key of type %T and not of ECDSA", path, key)
	}

	return ec, nil
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key: %w", err)
	}

	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}

	return key, write(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// address returns where the node is to listen: where it did before, as that is its name
// among the nodes, and the wish if it never did. The zero wish is for whatever there is,
// and it is an error to wish for another address.
func (f folder) address(wish netip.AddrPort) (netip.AddrPort, error) {
	data, err := os.ReadFile(f.addressFile())

	switch {
	case errors.Is(err, fs.ErrNotExist) && !wish.IsValid():
		return anywhere, nil
	case errors.Is(err, fs.ErrNotExist):
		return wish, nil
	case err != nil:
		return wish, fmt.Errorf("read the address: %w", err)
	}

	before, err := netip.ParseAddrPort(strings.TrimSpace(string(data)))
	if err != nil {
		return wish, fmt.Errorf("%s is damaged: %w", f.addressFile(), err)
	}

	if wish.IsValid() && wish != before && wish != netip.AddrPortFrom(before.Addr(), 0) {
		return wish, fmt.Errorf("%s is the folder of the node at %v, which cannot move to %v: "+
			"take another folder for another node", f, before, wish)
	}

	return before, nil
}

// keepAddress notes where the node listens.
func (f folder) keepAddress(addr string) error {
	return write(f.addressFile(), []byte(addr+"\n"))
}

func (f folder) addressFile() string { return filepath.Join(string(f), "address") }

// write writes a file that is the owner's, as a whole or not at all.
func write(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())

	if err == nil {
		err = os.Rename(file.Name(), path)
	}

	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(file.Name())))
	}

	return nil
}
