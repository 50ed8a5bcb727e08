package certs

import (
	"bytes"
	"fmt"
)

// SameKey tells whether the first certificates of both chains have the same public key. Then the chains
// belong to the same node, which may have renewed its certificate. SameKey looks only at the keys, not
// at the names, and not at whether the certificates are valid now. If a chain is malformed, the error
// says which one.
func SameKey(a, b CertChain) (bool, error) {
	first, err := publicKey(a)
	if err != nil {
		return false, fmt.Errorf("first chain: %w", err)
	}

	second, err := publicKey(b)
	if err != nil {
		return false, fmt.Errorf("second chain: %w", err)
	}

	return bytes.Equal(first, second), nil
}

// publicKey returns the encoded key in the first certificate of the chain, with its algorithm and its
// parameters: two curves may have points of the same coordinates.
func publicKey(chain CertChain) ([]byte, error) {
	list, err := parseChain(chain)
	if err != nil {
		return nil, err
	}

	return list[0].RawSubjectPublicKeyInfo, nil
}
