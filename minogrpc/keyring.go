package minogrpc

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"sync"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// keyring tells whether a key belongs to any node in the store, before its owner has said
// who it is. It asks the store each time, which others may change, and remembers what the
// certificates there say, so that each is parsed once.
type keyring struct {
	mu sync.Mutex
	// keys is replaced as a whole: who looks at it needs no lock for that.
	keys map[mino.Address]storedKey
}

// storedKey is what a chain of the store says.
type storedKey struct {
	chain certs.CertChain
	sum   [sha256.Size]byte
}

// knows tells whether the key of the certificate is in the store.
func (k *keyring) knows(store certs.Storage, leaf *x509.Certificate) bool {
	wanted, found := keySum(leaf), false

	before := k.swap(nil)
	keys := make(map[mino.Address]storedKey, len(before))

	// What cannot be read is nobody's key, and the rest comes all the same.
	_ = store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		kept, ok := before[addr]
		if !ok || !bytes.Equal(kept.chain, chain) {
			kept = storedKey{chain: chain}

			if list, err := x509.ParseCertificates(chain); err == nil && len(list) > 0 {
				kept.sum = keySum(list[0])
			}
		}

		keys[addr] = kept
		found = found || kept.sum == wanted

		return true
	})

	k.swap(keys)

	return found
}

// swap returns the keys as they were, and keeps new ones if there are any.
func (k *keyring) swap(keys map[mino.Address]storedKey) map[mino.Address]storedKey {
	k.mu.Lock()
	defer k.mu.Unlock()

	before := k.keys
	if keys != nil {
		k.keys = keys
	}

	return before
}

// keySum stands for the key of a certificate.
func keySum(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}
