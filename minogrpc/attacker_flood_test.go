package minogrpc_test

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Promise S2: who speaks an older TLS, in which a certificate can be read on its way, does
// not come so far as to call.
func TestAttack_OlderTLSIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		client := s.clientWith(t, innerNode, &tls.Config{
			InsecureSkipVerify: true,
			MaxVersion:         tls.VersionTLS12,
			Certificates:       []tls.Certificate{*s.certs[rootNode]},
		})

		err := attackCall.call(t.Context(), client, s.metadataOf(innerNode))
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.ErrorContains(t, err, "protocol version")
		s.requireTold(t, innerNode, "", codes.Unauthenticated)
		s.requireUndisturbed(t)
	})
}

// knock connects to a node and begins a handshake with nonsense.
func (s *siege) knock(t *testing.T, name string) {
	t.Helper()

	conn, err := s.network.Dialer(attacker)(t.Context(), name+":1")
	require.NoError(t, err)

	// It fails where the connection is closed already.
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// Promise S2: a host whose handshakes fail again and again is not listened to for a while,
// before a handshake costs anything. That holds up nobody else.
func TestAttack_FailedHandshakesAreCounted(t *testing.T) {
	const failures = 30

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, minogrpc.WithHandshakeLimit(failures))

		for range failures {
			s.knock(t, innerNode)
			s.requireTold(t, innerNode, "", codes.Unauthenticated)
		}

		for range 3 {
			s.knock(t, innerNode)
			s.requireTold(t, innerNode, "", codes.ResourceExhausted)
		}

		s.round(t)

		// Whoever is there later is heard.
		time.Sleep(time.Minute)
		s.knock(t, innerNode)
		s.requireTold(t, innerNode, "", codes.Unauthenticated)
		s.requireUndisturbed(t)
	})
}

// Promises S2, S3: a node that opens as many streams as it may has no more, and keeps
// nobody else out.
func TestAttack_StreamsOfAPeerAreCounted(t *testing.T) {
	for limit, opts := range map[int][]minogrpc.Option{
		20:                          {minogrpc.WithStreamLimits(20, 1000)},
		minogrpc.DefaultPeerStreams: nil,
	} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSiege(t, nil, opts...)
				// Its handlers are not those of the stream.
				mino.MustCreateRPC(s.nodes[innerNode], "other", echo, texts{})

				client := s.client(t, innerNode, s.certs[mallory])
				open := func(i int) ptypes.Overlay_StreamClient {
					return openStream(t, client, streamID(i, "apiuri", "other", "gateway", textAt(mallory)))
				}

				for i := range limit {
					requireOpen(t, open(i))
				}

				for i := range 3 {
					requireRefused(t, open(limit+i), codes.ResourceExhausted, "streams")
					s.requireTold(t, innerNode, ptypes.Overlay_Stream_FullMethodName, codes.ResourceExhausted)
				}

				s.requireUndisturbed(t)
			})
		})
	}
}

// Promise S2: nobody guesses the id of a stream: it has 128 random bits.
func TestAttack_StreamIDsCannotBeGuessed(t *testing.T) {
	const streams = 50

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		seen := make(map[string]bool)

		var ones, zeros [16]byte

		for range streams {
			_, _, err := s.rpcs[orchestrator].Stream(withContext(t), mino.NewAddresses(addressAt(rootNode)))
			require.NoError(t, err)

			id := s.metadataOf(rootNode).Get("streamid")[0]
			require.Regexp(t, "^[0-9a-f]{32}$", id)
			require.NotContains(t, seen, id)
			seen[id] = true

			bits, err := hex.DecodeString(id)
			require.NoError(t, err)

			for i, b := range bits {
				ones[i] |= b
				zeros[i] |= ^b
			}
		}

		// That one of them is the same by chance in all the ids happens once in 2^42 runs.
		all := [16]byte(bytes.Repeat([]byte{0xff}, 16))
		require.Equal(t, all, ones)
		require.Equal(t, all, zeros)
	})
}
