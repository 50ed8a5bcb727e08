//go:build linux

package attacks_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise S4: whatever strangers send, and however many hosts they have, costs the node little.
func TestStrangers(t *testing.T) {
	w := newWorld(t, setup{})
	a := w.stranger(t)

	for _, c := range []struct {
		name string
		// connections are those of all the hosts.
		connections, hosts int
		do                 func(ctx context.Context, host string) error
	}{
		{"headers that never end", 200, 8, func(ctx context.Context, host string) error {
			c, err := a.connect(ctx, host)
			if err == nil {
				err = c.endless(1, 215<<10)
			}

			return err
		}},
		{"calls that wait for their messages", 400, 8, func(ctx context.Context, host string) error {
			c, err := a.connect(ctx, host)
			for id := uint32(1); err == nil && id < 16; id += 2 {
				err = c.call(id, append(c.headers("Join"), references(100)...))
			}

			return err
		}},
		{"messages that never end", 400, 8, func(ctx context.Context, host string) error {
			c, err := a.connect(ctx, host)
			if err == nil {
				err = c.call(1, c.headers("Join"))
			}

			if err == nil {
				err = c.message(1, 0, 60<<10, make([]byte, 56<<10))
			}

			return err
		}},
		{"one block of headers after the other", 16, 8, func(ctx context.Context, host string) error {
			c, err := a.connect(ctx, host)
			for id := uint32(1); err == nil; id += 2 {
				err = c.call(id, append(c.headers("Join"), references(100)...))
			}

			return err
		}},
		{"one connection after the other", 8, 8, func(ctx context.Context, host string) error {
			for ctx.Err() == nil {
				if c, err := a.connect(ctx, host); err == nil {
					_ = c.Close()
				}
			}

			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, bounds{memory: strangersBound, descriptors: 1280}, func(ctx context.Context) {
				w.every(ctx, c.connections, c.hosts, c.do)
			})
		})
	}
}

// slowKey is a key that signs nothing until the context ends.
type slowKey struct {
	crypto.Signer

	done <-chan struct{}
}

// Sign implements crypto.Signer.
func (k slowKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	<-k.done

	return k.Signer.Sign(random, digest, opts)
}

// largestMessage is how long the certificates of a handshake may be for crypto/tls, and a bit less.
const largestMessage = 250 << 10

// smallest returns the size of a certificate of an attacker in a handshake.
func smallest(a attacker) int {
	return len(a.cert.Certificate[0]) + 5
}

// Promise S4: a handshake that does not come to its end costs the node little, whatever has been
// presented, and however many connections there are.
func TestStrangers_Handshakes(t *testing.T) {
	w := newWorld(t, setup{})

	present := func(certificates int) func(context.Context, string) error {
		a := w.stranger(t)

		return func(ctx context.Context, host string) error {
			cert := *a.cert
			cert.PrivateKey = slowKey{cert.PrivateKey.(crypto.Signer), ctx.Done()}
			cert.Certificate = nil

			for range certificates {
				cert.Certificate = append(cert.Certificate, a.cert.Certificate[0])
			}

			_, err := attacker{a.target, &cert}.connect(ctx, host)

			return err
		}
	}

	for _, c := range []struct {
		name               string
		connections, hosts int
		do                 func(ctx context.Context, host string) error
	}{
		{"tiny certificates by the thousand", 200, 8, present(largestMessage / smallest(w.stranger(t)))},
		{"as many certificates as are allowed", 600, 8, present(8)},
		{"hellos that never end", 800, 8, func(ctx context.Context, host string) error {
			conn, err := w.stranger(t).tcp(ctx, host)
			if err != nil {
				return err
			}

			// A record of a handshake, whose hello is announced to be larger than the record.
			record := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xf0, 0}, make([]byte, 16<<10-4)...)
			_, err = conn.Write(append(record, record[:5+10<<10]...))

			return err
		}},
		{"connections that say nothing", 3000, 8, func(ctx context.Context, host string) error {
			conn, err := w.stranger(t).tcp(ctx, host)
			if err != nil {
				return err
			}

			_, err = conn.Read(make([]byte, 1))

			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, bounds{memory: strangersBound, descriptors: 1280}, func(ctx context.Context) {
				w.every(ctx, c.connections, c.hosts, c.do)
			})
		})
	}
}

// Promises S3, S4: neither an older TLS, nor another protocol, nor a ticket gets anybody further.
func TestStrangers_OtherHandshakes(t *testing.T) {
	w := newWorld(t, setup{})
	a := w.stranger(t)

	shake := func(config *tls.Config) (*tls.Conn, error) {
		config.InsecureSkipVerify = true
		config.Certificates = []tls.Certificate{*a.cert}

		conn, err := a.tcp(t.Context(), hostOf(0))
		require.NoError(t, err)

		secure := tls.Client(conn, config)

		return secure, secure.HandshakeContext(t.Context())
	}

	_, err := shake(&tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2"}})
	require.ErrorContains(t, err, "protocol version")

	// An HTTP/1.1 client gets through the handshake, and no byte of HTTP/2 after it.
	for _, protocols := range [][]string{{"http/1.1"}, nil} {
		conn, err := shake(&tls.Config{NextProtos: protocols})
		require.NoError(t, err)

		n, _ := io.Copy(io.Discard, conn)
		require.Zero(t, n)
	}

	_, err = shake(&tls.Config{NextProtos: []string{"h3"}})
	require.ErrorContains(t, err, "no application protocol")

	cache := &ticketCache{}
	conn, err := shake(&tls.Config{NextProtos: []string{"h2"}, ClientSessionCache: cache, ServerName: "victim"})
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(pulse)))

	_, _ = io.Copy(io.Discard, conn)

	require.Zero(t, cache.put, "the victim gives tickets away")
}

// ticketCache counts the tickets that a client gets.
type ticketCache struct {
	put int
}

// Get implements tls.ClientSessionCache.
func (*ticketCache) Get(string) (*tls.ClientSessionState, bool) {
	return nil, false
}

// Put implements tls.ClientSessionCache.
func (c *ticketCache) Put(string, *tls.ClientSessionState) {
	c.put++
}
