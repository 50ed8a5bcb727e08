package minogrpc_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router/tree"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// errDisk is what a disk says that cannot be written.
var errDisk = errors.New("read-only file system")

// readOnly is a storage on such a disk, with room for some more chains before.
type readOnly struct {
	certs.Storage

	room int
}

func (r *readOnly) Store(addr mino.Address, chain certs.CertChain) error {
	if r.room == 0 {
		return errDisk
	}

	r.room--

	return r.Storage.Store(addr, chain)
}

// A node whose certificate is in the store starts although the disk cannot be written.
func TestDisk_NodeStartsOnAReadOnlyOne(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	store := &readOnly{certs.NewInMemoryStore(), 1}
	opts := []minogrpc.Option{minogrpc.WithStorage(store), minogrpc.WithCertificateKey(key, nil)}
	public := urlOf(t, startExactly(t))

	for range 2 {
		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
			public, tree.NewRouter(minogrpc.NewAddressFactory()), opts...)
		require.NoError(t, err)
		require.NoError(t, node.Stop())
	}

	// Nobody would know a node with another key.
	_, err = minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
		public, tree.NewRouter(minogrpc.NewAddressFactory()), opts[:1]...)
	require.ErrorIs(t, err, errDisk)
}

// A join that cannot store what it learns says so.
func TestDisk_JoinOnAFullOneIsAnError(t *testing.T) {
	first, second := startExactly(t), startExactly(t)
	join(t, first, second)

	third := startExactly(t, minogrpc.WithStorage(&readOnly{certs.NewInMemoryStore(), 2}))
	err := third.Join(urlOf(t, first), first.GenerateToken(1e9), digestOf(t, first))
	require.ErrorIs(t, err, errDisk)
}

// Promise S2: a damaged file is told at the start. The next Join of this node repairs it, and no
// member does.
func TestDisk_DamagedFileIsToldAndRepairedByTheNextJoin(t *testing.T) {
	folder := t.TempDir()
	first, second := startExactly(t), startExactly(t)
	join(t, first, second)

	store, err := certs.NewDiskStore(folder, minogrpc.NewAddressFactory())
	require.NoError(t, err)
	require.NoError(t, store.Store(second.GetAddress(), second.GetCertificateChain()))

	files, err := filepath.Glob(filepath.Join(folder, "*.pem"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.WriteFile(files[0], []byte("garbage"), 0o600))

	store, err = certs.NewDiskStore(folder, minogrpc.NewAddressFactory())
	require.NoError(t, err)

	var log bytes.Buffer

	third := startExactly(t, minogrpc.WithStorage(store), minogrpc.WithLogger(zerolog.New(&log)))
	require.Contains(t, log.String(), files[0])

	// The owner of the key asks to be let in again.
	err = second.Join(urlOf(t, third), third.GenerateToken(1e9), digestOf(t, third))
	require.Error(t, err)

	_, err = store.Load(second.GetAddress())
	require.ErrorIs(t, err, certs.ErrDamaged)

	join(t, first, third)

	found, err := store.Load(second.GetAddress())
	require.NoError(t, err)
	require.Equal(t, second.GetCertificateChain(), found)
}
