package certs

import (
	"bytes"
	"fmt"
)

// SameKey tells whether the first certificates of both chains, those of the nodes,
// are for the same public key: then the chains are of the same node, whatever else
// the certificates say, as after one was renewed. It looks at nothing but the key:
// not at the names, nor at whether the certificates are valid now. The error says
// which of the chains is malformed.
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

// publicKey returns the key in the first certificate of the chain, with its
// algorithm and parameters: the encoding of all of it is what is compared, as two
// curves may have points of the same coordinates.
func publicKey(chain CertChain) ([]byte, error) {
	list, err := parseChain(chain)
	if err != nil {
		return nil, err
	}

	return list[0].RawSubjectPublicKeyInfo, nil
}
