package trust

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/minogrpc/session"
)

// errOtherAddress is for a certificate of an authority for another node.
var errOtherAddress = errors.New("the certificate does not name the address as a URI")

// Policy decides which certificate proves that a node is the one at an address. The zero policy
// believes the key that the store has for the address. A policy does not change once it is made.
type Policy struct {
	// ByAuthority says that the authorities decide, and not the keys in the store. A policy of
	// authorities without any believes nobody.
	ByAuthority bool
	Authorities *x509.CertPool

	// Revoked is the check of the operator that comes after that of the policy. It may be nil.
	Revoked func(leaf *x509.Certificate) error
}

// verify returns an error unless an authority vouches for the certificates and for the address.
func (p Policy) verify(addr session.Address, presented []*x509.Certificate, at time.Time) error {
	if err := p.verifyAny(presented, at); err != nil {
		return err
	}

	for _, name := range presented[0].URIs {
		if name.String() == addr.String() {
			return nil
		}
	}

	return errOtherAddress
}

// verifyAny returns an error unless an authority vouches for the certificates, for whatever address.
func (p Policy) verifyAny(presented []*x509.Certificate, at time.Time) error {
	// A nil pool would stand for the roots of the system.
	if p.Authorities == nil {
		return errors.New("no authority is trusted")
	}

	intermediates := x509.NewCertPool()
	for _, cert := range presented[1:] {
		intermediates.AddCert(cert)
	}

	// The same certificate serves for both ends of a connection.
	_, err := presented[0].Verify(x509.VerifyOptions{
		Roots:         p.Authorities,
		Intermediates: intermediates,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})

	return err
}
