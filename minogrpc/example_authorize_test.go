package minogrpc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc"
)

// A rule names who may do what. A caller that has proved nothing has the zero address, which is in
// no list.
func ExampleWithAuthorizer() {
	operators := map[session.Address]bool{session.NewAddress("grpcs://operator.example:2000"): true}

	rule := func(_ context.Context, caller minogrpc.Caller, procedure minogrpc.Procedure) error {
		// Any member may pass a stream on; operators alone may begin one.
		if procedure.Access == minogrpc.AccessAdopt || operators[caller.Address] {
			return nil
		}

		return errors.New("not an operator")
	}

	_ = minogrpc.WithAuthorizer(rule) // for NewMinogrpc

	stranger := minogrpc.Caller{Claimed: session.NewAddress("grpcs://operator.example:2000")}
	fmt.Println(rule(context.Background(), stranger, minogrpc.Procedure{URI: "words", Access: minogrpc.AccessCall}))
	// Output: not an operator
}

// The operator's own authorities decide who is who, and a list who is not any more.
func ExampleWithTrust() {
	roots := x509.NewCertPool() // with roots.AppendCertsFromPEM
	revoked := map[string]bool{"2a": true}

	policy := minogrpc.Authorities(roots).WithRevocation(func(leaf *x509.Certificate) error {
		if revoked[leaf.SerialNumber.Text(16)] {
			return errors.New("revoked")
		}

		return nil
	})

	// A node also needs a certificate of one of them: see WithCert and WithCertSource.
	_ = minogrpc.WithTrust(policy)
	// Output:
}
