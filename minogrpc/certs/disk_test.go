package certs_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// openStore opens the folder as a process does that has just started.
func openStore(t testing.TB, folder string) *certs.DiskStore {
	t.Helper()

	store, err := certs.NewDiskStore(folder, session.AddressFactory{})
	require.NoError(t, err)

	return store
}

// requireChain checks what the store holds for the address.
func requireChain(t *testing.T, store certs.Storage, addr mino.Address, want certs.CertChain) {
	t.Helper()

	chain, err := store.Load(addr)
	require.NoError(t, err)
	require.Equal(t, want, chain)
}

// onlyFile returns the path of the one file in the folder.
func onlyFile(t *testing.T, folder string) string {
	t.Helper()

	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1)

	return filepath.Join(folder, files[0].Name())
}

// Promise S2: who is whom survives a restart.
func TestDiskStore_SurvivesARestart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "store")
	store := openStore(t, folder)
	a, b := issue(t, newKey(t), "a"), issue(t, newKey(t), "b")

	require.NoError(t, store.Store(session.NewOrchestratorAddress(addrA), b))
	require.NoError(t, store.Store(addrA, a))
	require.NoError(t, store.Store(addrB, slices.Concat(b, a)))

	again := openStore(t, folder)

	for _, s := range []certs.Storage{store, again} {
		requireChain(t, s, addrA, a)
		requireChain(t, s, session.NewOrchestratorAddress(addrA), a)
		requireChain(t, s, addrB, slices.Concat(b, a))
	}

	require.NoError(t, again.Delete(session.NewOrchestratorAddress(addrA)))
	require.NoError(t, again.Delete(addrA), "there is none any more")
	require.NoError(t, again.Delete(session.NewAddress("never.stored:1")))

	for _, s := range []certs.Storage{again, openStore(t, folder)} {
		requireChain(t, s, addrA, nil)
		requireChain(t, s, addrB, slices.Concat(b, a))
	}
}

func TestDiskStore_FilesArePEMWithTheNodeFirst(t *testing.T) {
	folder := t.TempDir()
	leaf, authority := issue(t, newKey(t), "leaf"), issue(t, newKey(t), "authority")
	require.NoError(t, openStore(t, folder).Store(addrA, slices.Concat(leaf, authority)))

	path := onlyFile(t, folder)
	require.Equal(t, "_46_42127.0.0.1_3a2000.pem", filepath.Base(path))

	text, err := os.ReadFile(path)
	require.NoError(t, err)

	for _, name := range []string{"leaf", "authority"} {
		var block *pem.Block

		block, text = pem.Decode(text)
		require.NotNil(t, block, name)
		require.Equal(t, "CERTIFICATE", block.Type)

		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.Equal(t, name, cert.Subject.CommonName)
	}

	require.Empty(t, text)

	if openssl, err := exec.LookPath("openssl"); err == nil {
		printed, err := exec.CommandContext(t.Context(), openssl, "x509", "-in", path, "-noout", "-text").Output()
		require.NoError(t, err)
		require.Regexp(t, "Subject: CN *= *leaf", string(printed))
	}
}

func TestDiskStore_ReadsAFileWithTheLinesOfWindows(t *testing.T) {
	folder, chain := t.TempDir(), issue(t, newKey(t), "a")
	require.NoError(t, openStore(t, folder).Store(addrA, chain))

	text, err := os.ReadFile(onlyFile(t, folder))
	require.NoError(t, err)

	text = []byte(strings.ReplaceAll(string(text), "\n", "\r\n") + "\r\n")
	require.NoError(t, os.WriteFile(onlyFile(t, folder), text, 0o600))

	requireChain(t, openStore(t, folder), addrA, chain)
}

func TestDiskStore_RefusesWhatItCouldNotReadAgain(t *testing.T) {
	folder := t.TempDir()
	store := openStore(t, folder)
	chain := issue(t, newKey(t), "a")
	large := slices.Repeat(chain, 1<<20/len(chain))
	long := session.NewAddress(strings.Repeat("a", 250) + ":2000")

	require.ErrorContains(t, store.Store(nil, chain), "no address")
	require.ErrorContains(t, store.Store(addrA, nil), "empty certificate chain")
	require.ErrorContains(t, store.Store(addrA, certs.CertChain{}), "empty certificate chain")
	require.ErrorContains(t, store.Store(addrA, certs.CertChain("garbage")), "malformed certificate chain")
	require.ErrorContains(t, store.Store(addrA, chain[:len(chain)-1]), "malformed certificate chain")
	require.ErrorContains(t, store.Store(addrA, large), "more than 1048576 bytes")
	require.ErrorContains(t, store.Store(long, chain), "too long for the name of a file")

	for _, addr := range []mino.Address{nil, addrA, long} {
		requireChain(t, store, addr, nil)
		require.NoError(t, store.Delete(addr))
	}

	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestDiskStore_NeedsAFolderAndAFactory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	_, err := certs.NewDiskStore(file, session.AddressFactory{})
	require.ErrorContains(t, err, file)

	_, err = certs.NewDiskStore(t.TempDir(), nil)
	require.ErrorContains(t, err, "no address factory")
}

func TestDiskStore_FailedWriteLeavesTheOldChain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	store := openStore(t, folder)
	old, fresh := issue(t, newKey(t), "old"), issue(t, newKey(t), "new")
	require.NoError(t, store.Store(addrA, old))

	require.NoError(t, os.Rename(folder, folder+".away"))
	require.ErrorContains(t, store.Store(addrA, fresh), folder)
	requireChain(t, store, addrA, old)
	require.NoError(t, os.Rename(folder+".away", folder))

	requireChain(t, openStore(t, folder), addrA, old)
}

func TestDiskStore_CleansUpAfterACrashAndLeavesTheRest(t *testing.T) {
	folder := t.TempDir()
	foreign := []string{
		"README", "key.pem", ".pem", "_46_42127.0.0.1_3a2000.pem~", "_new-1.txt", "new-1.tmp",
		"_46_42127.0.0.1_3A2000.pem", // in another spelling
		"_4f_42127.0.0.1_3a2000.pem", // of an orchestrator
		"_46_42127.0.0.1_3.pem", "_46_42127.0.0.1_zz2000.pem",
	}

	for _, name := range append(foreign, "_new-1.tmp", "_new-.tmp") {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600))
	}

	store := openStore(t, folder)
	require.NoError(t, store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		require.Fail(t, "nothing was stored", addr)

		return true
	}))

	files, err := os.ReadDir(folder)
	require.NoError(t, err)

	left := make([]string, 0, len(files))
	for _, file := range files {
		left = append(left, file.Name())
	}

	require.ElementsMatch(t, foreign, left)
}

func TestDiskStore_KeepsItsFolderWhenTheProcessMoves(t *testing.T) {
	t.Chdir(t.TempDir())

	store, chain := openStore(t, "store"), issue(t, newKey(t), "a")
	folder, err := filepath.Abs("store")
	require.NoError(t, err)

	t.Chdir(t.TempDir())
	require.NoError(t, store.Store(addrA, chain))

	requireChain(t, openStore(t, folder), addrA, chain)
}

func TestDiskStore_CopiesWhatItStores(t *testing.T) {
	store, chain := openStore(t, t.TempDir()), issue(t, newKey(t), "a")
	given := slices.Clone(chain)
	require.NoError(t, store.Store(addrA, given))

	given[0]++

	requireChain(t, store, addrA, chain)
}

func TestDiskStore_LoadTakesNoMemory(t *testing.T) {
	store := openStore(t, t.TempDir())
	require.NoError(t, store.Store(addrA, issue(t, newKey(t), "a")))

	var addr mino.Address = addrA

	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = store.Load(addr) }))
}

func TestDiskStore_RangeMayUseTheStoreAndStops(t *testing.T) {
	chain := issue(t, newKey(t), "a")
	store, _ := makeDamaged(t, chain, func(path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) })
	calls := 0

	require.NoError(t, store.Range(func(addr mino.Address, _ certs.CertChain) bool {
		calls++

		require.NoError(t, store.Delete(addr))
		require.NoError(t, store.Store(addr, chain))

		return false
	}), "the damaged file does not matter to who has found what it looks for")
	require.Equal(t, 1, calls)
}

func TestDiskStore_FetchStoresAChainOfThatDigestAlone(t *testing.T) {
	store := openStore(t, t.TempDir())
	addr, chain := present(t)
	digest, err := store.Hash(chain)
	require.NoError(t, err)

	require.ErrorContains(t, store.Fetch(addr, digest[1:]), "another digest")
	requireChain(t, store, addr, nil)

	require.NoError(t, store.Fetch(addr, digest))
	requireChain(t, store, addr, chain)
}

// What other processes read, and what is there after a crash, is one chain or the
// other at any moment; in the end it is what the store says.
func TestDiskStore_ReplacesFilesAsAWhole(t *testing.T) {
	folder := t.TempDir()
	store := openStore(t, folder)
	short := issue(t, newKey(t), "short")
	chains := []certs.CertChain{short, slices.Repeat(short, 20)}

	texts := make([]string, 0, len(chains))
	for _, chain := range chains {
		require.NoError(t, store.Store(addrA, chain))

		text, err := os.ReadFile(onlyFile(t, folder))
		require.NoError(t, err)

		texts = append(texts, string(text))
	}

	path, seen := onlyFile(t, folder), make([]string, 0, 50)

	var writers sync.WaitGroup
	for _, chain := range chains {
		writers.Go(func() {
			for range 10 {
				if err := store.Store(addrA, chain); err != nil {
					t.Error(err)
				}
			}
		})
	}

	for range cap(seen) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)

		seen = append(seen, string(text))
	}

	writers.Wait()
	require.Subset(t, texts, seen)

	last, err := store.Load(addrA)
	require.NoError(t, err)
	requireChain(t, openStore(t, folder), addrA, last)
}
