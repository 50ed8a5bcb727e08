package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
)

// errUnknown is for an address without a certificate in the store.
var errUnknown = errors.New("no certificate is known")

// timeError is for a certificate that is not valid now.
type timeError string

// Error implements error.
func (e timeError) Error() string {
	return string(e)
}

// errOtherKey is for a node that has another key than its certificate in the store.
var errOtherKey = errors.New("another key is stored for the address")

// checkKey returns an error unless the certificate is valid now and has the key of the stored one.
// stored is the chain in the store. Only the key must be the same: the rest of the certificate may
// be newer.
func checkKey(stored certs.CertChain, leaf *x509.Certificate) error {
	return cmp.Or(checkPinned(stored, leaf), checkTime(leaf))
}

// checkPinned is checkKey without the check of the time.
func checkPinned(stored certs.CertChain, leaf *x509.Certificate) error {
	if len(stored) == 0 {
		return errUnknown
	}

	// The common case costs nothing: it is the same certificate.
	if !bytes.HasPrefix(stored, leaf.Raw) {
		same, err := certs.SameKey(stored, leaf.Raw)
		if err != nil {
			return err
		}

		if !same {
			return errOtherKey
		}
	}

	return nil
}

// checkTime returns an error unless the certificate is valid now.
func checkTime(leaf *x509.Certificate) error {
	switch now := time.Now(); {
	case now.Before(leaf.NotBefore):
		return timeError(fmt.Sprintf("the certificate is not valid before %v", leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return timeError(fmt.Sprintf("the certificate has expired on %v", leaf.NotAfter))
	default:
		return nil
	}
}

// checkHost returns an error unless the certificate names the host of the address.
func checkHost(addr session.Address, leaf *x509.Certificate) error {
	host, err := addr.GetHostname()
	if err != nil {
		return err
	}

	return leaf.VerifyHostname(host)
}
