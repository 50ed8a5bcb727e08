package session_test

import (
	"net/url"
	"testing"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// Promise R3: no URL makes an address that cannot be written, read again and
// dialled.
func FuzzNewAddressFromURL(f *testing.F) {
	for _, seed := range []string{
		"", "//host:1", "127.0.0.1:2000", "grpc://127.0.0.1:2000", "grpcs://[::1]:443", "https://node.example.org:8443",
		"ws://h:1", "grpc://h", "grpc://h:1/path?q#f", "grpc://user:secret@h:1", "grpc://[fe80::1%25eth0]:1",
		"grpc://h:99999", "GRPC://H:1", "grpc://:1", "grpc:opaque",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}

		addr, err := session.NewAddressFromURL(*u)
		if err != nil {
			require.Equal(t, session.Address{}, addr)

			return
		}

		host, err := addr.GetHostname()
		require.NoError(t, err)
		require.Equal(t, u.Hostname(), host)
		require.Equal(t, u.Host, addr.GetDialAddress())
		require.Equal(t, addr, session.AddressFactory{}.FromText([]byte(textOf(t, addr))))

		printed, err := url.Parse(addr.String())
		require.NoError(t, err)

		same, err := session.NewAddressFromURL(*printed)
		require.NoError(t, err)
		require.Equal(t, addr, same)
	})
}
