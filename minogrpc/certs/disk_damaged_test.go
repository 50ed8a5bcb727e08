package certs_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// makeDamaged returns a store that was opened on a folder with a good file for
// addrB and a bad one for addrA, and the path of the latter. The function spoils it.
func makeDamaged(t *testing.T, chain certs.CertChain, spoil func(path string)) (*certs.DiskStore, string) {
	t.Helper()

	folder := t.TempDir()
	store := openStore(t, folder)
	require.NoError(t, store.Store(addrA, chain))

	path := onlyFile(t, folder)
	spoil(path)
	require.NoError(t, store.Store(addrB, chain))

	return openStore(t, folder), path
}

// damages are what may be wrong with a file, each a function that does it to one
// that holds a chain of two certificates.
func damages(t *testing.T) map[string]func(path string) {
	t.Helper()

	// edit changes the text of the file.
	edit := func(change func(text string) string) func(string) {
		return func(path string) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(change(string(text))), 0o600))
		}
	}
	garbage := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}))

	return map[string]func(string){
		"empty":              edit(func(string) string { return "" }),
		"not PEM":            edit(func(string) string { return "garbage" }),
		"not a certificate":  edit(func(string) string { return garbage }),
		"a key":              edit(func(string) string { return key }),
		"a key too":          edit(func(text string) string { return text + key }),
		"truncated":          edit(func(text string) string { return text[:len(text)-30] }),
		"second lost":        edit(func(text string) string { return text[:strings.LastIndex(text, "-----BEGIN")+40] }),
		"first line damaged": edit(func(text string) string { return text[1:] }),
		"first damaged":      edit(func(text string) string { return strings.Replace(text, "\nM", "\n?", 1) }),
		"text before":        edit(func(text string) string { return "subject: a\n" + text }),
		"text after":         edit(func(text string) string { return text + "subject: a\n" }),
		"large":              edit(func(text string) string { return text + strings.Repeat("\n", 1<<20) }),
		"a folder": func(path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		},
	}
}

// Promise S2: a chain that is damaged is nobody's, rather than another one's.
func TestDiskStore_DamagedFileIsAnErrorOfItsAddressAlone(t *testing.T) {
	chain := slices.Concat(issue(t, newKey(t), "leaf"), issue(t, newKey(t), "authority"))

	for name, spoil := range damages(t) {
		t.Run(name, func(t *testing.T) {
			store, path := makeDamaged(t, chain, spoil)

			found, err := store.Load(addrA)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, addrA.String())
			require.Nil(t, found)

			requireChain(t, store, addrB, chain)

			var seen []mino.Address

			err = store.Range(func(addr mino.Address, _ certs.CertChain) bool {
				seen = append(seen, addr)

				return true
			})
			require.ErrorContains(t, err, path)
			require.Equal(t, []mino.Address{addrB}, seen)
		})
	}
}

func TestDiskStore_StoreReplacesADamagedFile(t *testing.T) {
	chain := slices.Concat(issue(t, newKey(t), "leaf"), issue(t, newKey(t), "authority"))

	for name, spoil := range damages(t) {
		t.Run(name, func(t *testing.T) {
			store, path := makeDamaged(t, chain, spoil)

			require.NoError(t, store.Store(addrA, chain))

			for _, s := range []certs.Storage{store, openStore(t, filepath.Dir(path))} {
				requireChain(t, s, addrA, chain)
				require.NoError(t, s.Range(func(mino.Address, certs.CertChain) bool { return true }))
			}
		})
	}
}

func TestDiskStore_DeleteRemovesADamagedFile(t *testing.T) {
	chain := slices.Concat(issue(t, newKey(t), "leaf"), issue(t, newKey(t), "authority"))

	for name, spoil := range damages(t) {
		t.Run(name, func(t *testing.T) {
			store, path := makeDamaged(t, chain, spoil)

			require.NoError(t, store.Delete(addrA))

			requireChain(t, store, addrA, nil)
			require.NoFileExists(t, path)
			require.NoDirExists(t, path)
		})
	}
}

func TestDiskStore_FailedRenameLeavesNothingBehind(t *testing.T) {
	chain := issue(t, newKey(t), "a")
	store, path := makeDamaged(t, chain, func(path string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.MkdirAll(filepath.Join(path, "of somebody"), 0o700))
	})

	require.ErrorContains(t, store.Store(addrA, chain), path)
	require.ErrorContains(t, store.Delete(addrA), path)

	_, err := store.Load(addrA)
	require.ErrorContains(t, err, path)

	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 2, "the folder in the way and the chain of the other address")
	require.DirExists(t, filepath.Join(path, "of somebody"))
}
