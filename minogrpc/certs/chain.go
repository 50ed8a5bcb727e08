package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// pemType is the type of the PEM blocks of a chain, as openssl has it.
const pemType = "CERTIFICATE"

var (
	// errEmptyChain is for a chain without a certificate.
	errEmptyChain = errors.New("empty certificate chain")

	// errNotPEM is for a file without a single PEM block.
	errNotPEM = errors.New("no certificate in PEM form")

	// errNotAllPEM is for a file that is a chain in part.
	errNotAllPEM = errors.New("not only certificates in PEM form, or a part of one is missing")
)

// parseChain returns the certificates of a chain, of which there is at least one.
func parseChain(chain CertChain) ([]*x509.Certificate, error) {
	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("malformed certificate chain: %w", err)
	}

	if len(list) == 0 {
		return nil, errEmptyChain
	}

	return list, nil
}

// encodeChain returns the chain in PEM form, a block for each certificate.
func encodeChain(chain CertChain) ([]byte, error) {
	list, err := parseChain(chain)
	if err != nil {
		return nil, err
	}

	var text []byte
	for _, cert := range list {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: cert.Raw})...)
	}

	return text, nil
}

// decodeChain returns the chain that was encoded to the text. It reads no other
// text, but for the ends of the lines, which an editor may change: a PEM reader
// skips a block that is damaged, and the certificate behind it would pass for that
// of the node.
func decodeChain(text []byte) (CertChain, error) {
	var chain CertChain

	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemType {
			return nil, fmt.Errorf("a PEM block of type %q is no certificate", block.Type)
		}

		chain = append(chain, block.Bytes...)
	}

	if chain == nil {
		return nil, errNotPEM
	}

	again, err := encodeChain(chain)
	if err != nil {
		return nil, err
	}

	if !bytes.Equal(trimLines(text), trimLines(again)) {
		return nil, errNotAllPEM
	}

	return chain, nil
}

// trimLines returns the text with the ends of its lines as they are on Unix, and
// without what is no line at its ends.
func trimLines(text []byte) []byte {
	return bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
}
