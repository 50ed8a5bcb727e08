//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package certs_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// Two processes on one folder would not see what the other stores: the second one is refused.
// The stores of one process share the folder until the last one is closed.
func TestDiskStore_IsThatOfOneProcess(t *testing.T) {
	folder := t.TempDir()

	// A lock belongs to an open file: another process has no more than this.
	other, err := os.Open(folder)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))

	_, err = certs.NewDiskStore(folder, session.AddressFactory{})
	require.ErrorIs(t, err, certs.ErrInUse)
	require.ErrorContains(t, err, folder)
	require.NoError(t, other.Close())

	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder, link))

	first, second := openStore(t, folder), openStore(t, link)

	other, err = os.Open(folder)
	require.NoError(t, err)

	defer func() { require.NoError(t, other.Close()) }()

	lock := func() error { return syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	require.ErrorIs(t, lock(), syscall.EWOULDBLOCK)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close())
	require.ErrorIs(t, lock(), syscall.EWOULDBLOCK)
	require.NoError(t, second.Close())
	require.NoError(t, lock())
}
