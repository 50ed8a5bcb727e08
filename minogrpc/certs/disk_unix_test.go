//go:build unix

package certs_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiskStore_FilesAreForTheOwnerAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	require.NoError(t, openStore(t, folder).Store(addrA, issue(t, newKey(t), "a")))

	info, err := os.Stat(folder)
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o700, info.Mode())

	info, err = os.Stat(onlyFile(t, folder))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestDiskStore_OpensWhateverCannotBeRead(t *testing.T) {
	chain := issue(t, newKey(t), "a")

	for name, spoil := range map[string]func(path string) error{
		"pipe that nobody writes to": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link to itself":             func(path string) error { return os.Symlink(path, path) },
		"link to nothing":            func(path string) error { return os.Symlink(path+".gone", path) },
	} {
		t.Run(name, func(t *testing.T) {
			store, path := makeDamaged(t, chain, func(path string) {
				require.NoError(t, os.Remove(path))
				require.NoError(t, spoil(path))
			})

			_, err := store.Load(addrA)
			require.ErrorContains(t, err, path)

			require.NoError(t, store.Store(addrA, chain))
			requireChain(t, store, addrA, chain)
		})
	}
}
