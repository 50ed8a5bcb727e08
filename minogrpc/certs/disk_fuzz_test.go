package certs_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// fuzzChain is a certificate that does not change from run to run.
const fuzzChain = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUOc5eoYr/F0ORuO0DBpVPHlMaX1swCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEZnV6ejAgFw0yNjExMjIyMTI0MDFaGA8yMTI2MTAyOTIxMjQw
MVowDzENMAsGA1UEAwwEZnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMx6
ET/WaJjnIpWuHuR5C/m9ZxAk+7tZhIXLutE+IOxOtHqGhKXh2YLg9IlFiGpo9xje
zbi13xA6ZcDlASOx20+jUzBRMB0GA1UdDgQWBBRV6gQotmhiwt7IDZLAusEhLnNH
3jAfBgNVHSMEGDAWgBRV6gQotmhiwt7IDZLAusEhLnNH3jAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIHzYYN9vZ9OrK1kfiEEK64WinwtlqQYkhe26
6PbzBpxnAiEA2pPYsVbXVCgKmTrZLBeOdqT8xZForih2DrITeXkJrFw=
-----END CERTIFICATE-----
`

// A file is an error, or a chain that is stored and read as the same.
func FuzzDiskStore_File(f *testing.F) {
	f.Add([]byte(fuzzChain))
	f.Add([]byte(fuzzChain + fuzzChain))
	f.Add([]byte(fuzzChain[1:] + fuzzChain))
	f.Add([]byte("text\n" + fuzzChain))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}))

	f.Fuzz(func(t *testing.T, text []byte) {
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "_46_42127.0.0.1_3a2000.pem"), text, 0o600))

		store := openStore(t, folder)

		chain, err := store.Load(addrA)
		if err != nil {
			require.Nil(t, chain)

			return
		}

		same, err := certs.SameKey(chain, chain)
		require.NoError(t, err)
		require.True(t, same)

		require.NoError(t, store.Store(addrA, chain))
		requireChain(t, openStore(t, folder), addrA, chain)
	})
}
