package spelling_test

import (
	"testing"

	"github.com/minogrpc/session/internal/spelling"
	"github.com/stretchr/testify/require"
)

func TestKey_IsTheSameForAllSpellings(t *testing.T) {
	for key, others := range map[string][]string{
		"localhost:2000":     {"LOCALHOST:2000", "localhost:02000", "localhost.:2000", "LocalHost.:002000"},
		"127.0.0.1:1":        {"[::ffff:127.0.0.1]:1", "[::FFFF:7f00:1]:01", "127.0.0.1:0001"},
		"[::1]:443":          {"[0:0:0:0:0:0:0:1]:443", "[0000::0001]:0443"},
		"[2001:db8::a]:1":    {"[2001:DB8:0:0:0:0:0:A]:1"},
		"node.example.org:1": {"Node.Example.ORG.:1"},
		"host:0":             {"host:00"},
		"host":               {"HOST", "host."},
	} {
		require.Equal(t, key, spelling.Key(key))

		for _, other := range others {
			require.Equal(t, key, spelling.Key(other))
			require.True(t, spelling.Same(key, other))
		}
	}

	for _, other := range []string{"localhost:2001", "localhost", "127.0.0.1:2000", "localhost:20000", ""} {
		require.False(t, spelling.Same("localhost:2000", other), other)
	}
}
