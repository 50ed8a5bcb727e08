package certs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// portable is what a name may be on every file system: not hidden, no device, no
// separator, nothing that differs by its case alone.
var portable = regexp.MustCompile(`^_46[a-z0-9._-]+\.pem$`)

// The text of an address comes from the network. Its name is an error, or portable
// and read as the same address.
func FuzzFileName(f *testing.F) {
	for _, host := range []string{
		"", "127.0.0.1:2000", "[::1]:2000", "Host:1", "host:1", "NUL", "con.pem", "..", "../../etc/passwd", `..\x`,
		"a\x00b", "ümlaut:1", "_46", "_", "a.pem", "a.", "a ", strings.Repeat("a", 300), strings.Repeat("A", 90),
	} {
		f.Add("FB" + host)
	}

	f.Add("OAhost:1")
	f.Add("F/host:1")
	f.Add("x")

	f.Fuzz(func(t *testing.T, text string) {
		factory := session.AddressFactory{}
		addr := session.FollowerOf(factory.FromText([]byte(text)))

		name, err := fileName(addr)
		if err != nil {
			require.Greater(t, 3*len(text)+len(fileSuffix), maxFileName)

			return
		}

		require.Regexp(t, portable, name)
		require.LessOrEqual(t, len(name), 255)
		require.False(t, isFresh(name))

		// Two addresses cannot have one name, as it is read as either.
		again, ok := parseFileName(name, factory)
		require.True(t, ok)
		require.Equal(t, addr, again)

		// What is not a name is none, or that of its address.
		if addr, ok = parseFileName(text, factory); ok {
			name, err = fileName(addr)
			require.NoError(t, err)
			require.Equal(t, text, name)
		}
	})
}
