//go:build linux

package attacks_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// hostOf returns one of the attacker's hosts on loopback.
func hostOf(i int) string {
	return net.IPv4(127, 0, 1, byte(i+1)).String()
}

// attacker is who has the certificate. With none it speaks no TLS.
type attacker struct {
	target string
	cert   *tls.Certificate
}

// stranger returns an attacker whom the victim does not know.
func (w *world) stranger(t *testing.T) attacker {
	t.Helper()

	return attacker{w.target(), newCertificate(t)}
}

// member returns an attacker whom the victim knows, and its address.
func (w *world) member(t *testing.T) (attacker, string) {
	t.Helper()

	a := attacker{w.target(), newCertificate(t)}
	w.ask(question{Know: &identity{Address: []byte(memberText), Chain: a.cert.Certificate[0]}})

	return a, memberText
}

// memberText is the address of the member.
const memberText = "FBmember:1"

// target is where the victim listens.
func (w *world) target() string {
	return w.address().(session.Address).GetDialAddress()
}

func newCertificate(t *testing.T) *tls.Certificate {
	t.Helper()

	public, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, secret)
	require.NoError(t, err)

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: secret}
}

// client is a connection on which an attacker writes what it likes. Whatever comes back is dropped.
type client struct {
	net.Conn

	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

// tcp connects from a host, until the context ends.
func (a attacker) tcp(ctx context.Context, host string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}

	conn, err := dialer.DialContext(ctx, "tcp", a.target)
	if err != nil {
		return nil, err
	}

	context.AfterFunc(ctx, func() { _ = conn.Close() })

	return conn, nil
}

// connect does what comes before the first call.
func (a attacker) connect(ctx context.Context, host string) (*client, error) {
	conn, err := a.tcp(ctx, host)
	if err != nil {
		return nil, err
	}

	if a.cert != nil {
		secure := tls.Client(conn, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{*a.cert},
		})

		if err = secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()

			return nil, err
		}

		conn = secure
	}

	c := &client{Conn: conn, framer: http2.NewFramer(conn, nil)}
	c.framer.AllowIllegalWrites = true
	c.hpack = hpack.NewEncoder(&c.block)

	go func() { _, _ = io.Copy(io.Discard, conn) }()

	if _, err = conn.Write([]byte(http2.ClientPreface)); err == nil {
		err = c.framer.WriteSettings()
	}

	return c, err
}

// headers encodes those of a call, and further ones.
func (c *client) headers(method string, more ...string) []byte {
	c.block.Reset()

	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":path", "/ptypes.Overlay/" + method},
		{":authority", "victim"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = c.hpack.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}

	for i := 0; i+1 < len(more); i += 2 {
		_ = c.hpack.WriteField(hpack.HeaderField{Name: more[i], Value: more[i+1]})
	}

	return bytes.Clone(c.block.Bytes())
}

// call begins one, and leaves it open.
func (c *client) call(id uint32, block []byte) error {
	return c.framer.WriteHeaders(opened(id, block))
}

// message begins a message of a call, of a size, with what there is of it.
func (c *client) message(id uint32, compressed byte, size int, data []byte) error {
	prefix := binary.BigEndian.AppendUint32([]byte{compressed}, uint32(size))

	for data = append(prefix, data...); len(data) > 0; {
		n := min(len(data), 16<<10)
		if err := c.framer.WriteData(id, false, data[:n]); err != nil {
			return err
		}

		data = data[n:]
	}

	return nil
}

// references are headers of one byte each: an index that stands for one that everybody knows.
func references(n int) []byte {
	return bytes.Repeat([]byte{0x80 | 21}, n) // age
}

// endless begins a call whose headers it goes on with, for as many bytes.
func (c *client) endless(id uint32, bytes int) error {
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: append(c.headers("Join"), references(8<<10)...),
	})

	for ; err == nil && bytes > 0; bytes -= 16 << 10 {
		err = c.framer.WriteContinuation(id, false, references(16<<10))
	}

	return err
}

// mostHosts is how many hosts an attack has.
const mostHosts = 8

// every has as many connections, of so many hosts in turn, do something until the context ends. A
// connection that is lost is replaced after a moment.
func (w *world) every(ctx context.Context, connections, hosts int, do func(ctx context.Context, host string) error) {
	var wg sync.WaitGroup

	for i := range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				inner, cancel := context.WithCancel(ctx)
				if err := do(inner, hostOf(mostHosts*w.attacks+i%hosts)); err == nil {
					<-inner.Done()
				}

				cancel()
				wait(ctx, 20*time.Millisecond)
			}
		})
	}

	wg.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
