package trust

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

const (
	// MaxChain is the size of a certificate chain that comes from the network, in bytes. The chains
	// that nodes make take less than one KiB.
	MaxChain = 16 << 10

	// maxLeaf is the size of the certificate of the node in it, in bytes.
	maxLeaf = 8 << 10

	// maxRSA is the size of the largest RSA key, in bits. A signature of a larger key costs too much
	// to verify. crypto/tls has the same bound.
	maxRSA = 8192
)

var errBadChain = errors.New("malformed certificate chain")

// CheckChain returns the certificate of the node from a chain. It returns an error if the chain may not
// be stored for the address: it is malformed or too large, or the address has no TLS.
func CheckChain(addr session.Address, chain certs.CertChain) (*x509.Certificate, error) {
	if addr.ConnectionType() == mino.ACTgRPC {
		return nil, fmt.Errorf("%w: %v has no certificate", errBadChain, addr)
	}

	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, fmt.Errorf("%w for %v: %d bytes, of 1 to %d", errBadChain, addr, len(chain), MaxChain)
	}

	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("%w for %v: %w", errBadChain, addr, err)
	}

	if len(list[0].Raw) > maxLeaf {
		return nil, fmt.Errorf("%w for %v: the first certificate has more than %d bytes", errBadChain, addr, maxLeaf)
	}

	if key, ok := list[0].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
		return nil, fmt.Errorf("%w for %v: an RSA key of more than %d bits", errBadChain, addr, maxRSA)
	}

	return list[0], nil
}

// renews tells whether a chain should replace another one of the same key, because it is newer. So
// nobody can replace a new chain by an old one. A certificate must be signed by its own key: without
// that anybody could make it, because the key in it is public. Then the old one stays, by which the
// node is known as well.
func renews(stored, chain certs.CertChain, leaf *x509.Certificate) (bool, error) {
	same, err := certs.SameKey(stored, chain)
	if err != nil {
		return false, err
	}

	if !same {
		return false, errOtherKey
	}

	list, err := x509.ParseCertificates(stored)
	if err != nil {
		return false, err
	}

	signed := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil

	return signed && leaf.NotAfter.After(list[0].NotAfter), nil
}
