package minogrpc_test

import (
	"flag"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// The kinds of links that the nodes of a run have. Where they are mixed, two nodes can
// be duplex and two cannot, in turn, in the order of their start.
const (
	duplexLinks  = "duplex"
	unicastLinks = "unicast"
	mixedLinks   = "mixed"
)

var (
	// linksFlag says which kind it is, for the tests that do not choose one themselves.
	linksFlag = flag.String("links", duplexLinks, "what the links between nodes are: duplex, unicast or mixed")

	// tlsFlag secures the nodes of the tests that do not choose that either.
	tlsFlag = flag.Bool("tls", false, "whether nodes prove to each other who they are")
)

// known has the certificates of all the nodes that prove who they are by the flag. It is
// the store of each of them, so that nobody is a stranger.
var known = certs.NewInMemoryStore()

// started counts the nodes.
var started atomic.Uint32

// linked returns the options of a node with the links of this run.
func linked(opts []minogrpc.Option) []minogrpc.Option {
	n := started.Add(1) - 1

	switch *linksFlag {
	case duplexLinks:
		return opts
	case mixedLinks:
		if n/2%2 == 0 {
			return opts
		}
	case unicastLinks:
	default:
		panic("there are no links that are " + *linksFlag)
	}

	return append(slices.Clip(opts), minogrpc.WithoutDuplex())
}

// transport returns the option of a node that is secured, or not, as all are in this run.
// A test where somebody has no certificate, for being no node, takes minogrpc.NoTLS.
func transport() minogrpc.Option {
	if *tlsFlag {
		return minogrpc.WithStorage(known)
	}

	return minogrpc.NoTLS()
}

// scheme returns that of the addresses of such nodes.
func scheme() string {
	if *tlsFlag {
		return "grpcs"
	}

	return "grpc"
}

// publicOf returns the URL of a node, and the option that goes with it, for a host and
// port such as n1:1, where the run decides, or for a URL such as grpc://n1:1.
func publicOf(t *testing.T, public string) (*url.URL, minogrpc.Option) {
	t.Helper()

	if !strings.Contains(public, "://") {
		return &url.URL{Scheme: scheme(), Host: public}, transport()
	}

	u, err := url.Parse(public)
	require.NoError(t, err)

	if u.Scheme == "grpc" {
		return u, minogrpc.NoTLS()
	}

	return u, minogrpc.WithStorage(certs.NewInMemoryStore())
}
