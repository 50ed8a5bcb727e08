package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFolder_KeepsTheKeyForItsOwnerAlone(t *testing.T) {
	f := folder(private(t))

	made, err := f.key()
	require.NoError(t, err)

	read, err := f.key()
	require.NoError(t, err)
	require.True(t, made.Equal(read))

	info, err := os.Stat(filepath.Join(string(f), "key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// A key that cannot be read is not replaced: the node would be another one.
func TestFolder_DamagedKeyIsAnError(t *testing.T) {
	f := folder(private(t))
	path := filepath.Join(string(f), "key.pem")

	for _, text := range []string{"", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

		_, err := f.key()
		require.ErrorContains(t, err, path+" is damaged")
	}
}

func TestFolder_KeepsTheAddress(t *testing.T) {
	f := folder(private(t))

	elsewhere, first := netip.MustParseAddrPort("127.0.0.2:0"), netip.MustParseAddrPort("127.0.0.2:2000")

	addr, err := f.address(netip.AddrPort{})
	require.NoError(t, err)
	require.Equal(t, anywhere, addr)

	addr, err = f.address(elsewhere)
	require.NoError(t, err)
	require.Equal(t, elsewhere, addr)

	require.NoError(t, f.keepAddress(first.String()))

	for _, wish := range []netip.AddrPort{{}, elsewhere, first} {
		addr, err = f.address(wish)
		require.NoError(t, err)
		require.Equal(t, first, addr)
	}

	for _, wish := range []string{"127.0.0.2:2001", "127.0.0.1:0", "127.0.0.1:2000"} {
		_, err = f.address(netip.MustParseAddrPort(wish))
		require.ErrorContains(t, err, "cannot move to "+wish)
	}

	require.NoError(t, os.WriteFile(f.addressFile(), nil, 0o600))

	_, err = f.address(anywhere)
	require.ErrorContains(t, err, f.addressFile()+" is damaged")
}

func TestFolder_FailedWriteLeavesNothingBehind(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "file")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))

	require.ErrorContains(t, write(path, []byte("text")), path)

	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
}
