package certs_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// childVariable tells the test that it is in a process of its own: what the test itself writes
// to its files would be too much, too.
const childVariable = "CERTS_TEST_CHILD"

// requireChild runs this test in another process, where it must pass.
func requireChild(t *testing.T) {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childVariable+"=1")

	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
}

// limitFiles makes a write past that many bytes of a file fail, as on a disk that is full. The
// function that it returns takes the limit back.
func limitFiles(t *testing.T, bytes uint64) (restore func()) {
	t.Helper()

	var before syscall.Rlimit

	signal.Ignore(syscall.SIGXFSZ)
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}))

	return func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	}
}

// A disk that is full in the middle of a certificate leaves the one before, and no half of
// another.
func TestDiskStore_FullDiskLeavesNothingHalfWritten(t *testing.T) {
	folder := t.TempDir()
	store := openStore(t, folder)
	old := issue(t, newKey(t), "old")
	require.NoError(t, store.Store(addrA, old))

	if os.Getenv(childVariable) == "" {
		requireChild(t)

		return
	}

	restore := limitFiles(t, 100)
	changed, added := store.Store(addrA, issue(t, newKey(t), "new")), store.Store(addrB, old)

	restore()
	require.ErrorIs(t, changed, syscall.EFBIG)
	require.ErrorIs(t, added, syscall.EFBIG)

	requireChain(t, store, addrA, old)
	requireChain(t, store, addrB, nil)

	path := onlyFile(t, folder)
	text, err := os.ReadFile(filepath.Clean(path))
	require.NoError(t, err)
	require.Greater(t, len(text), 100)
	requireChain(t, openStore(t, folder), addrA, old)
}
