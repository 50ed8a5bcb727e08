package minogrpc_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
)

func TestWithSlog_TakesTheLogOfTheNode(t *testing.T) {
	var log bytes.Buffer

	logger := slog.New(slog.NewTextHandler(&log, nil))
	node := startExactly(t, minogrpc.AllowUnauthenticatedPeers(), minogrpc.WithSlog(logger), minogrpc.WithSlog(nil))
	require.NoError(t, node.Stop())

	require.Contains(t, log.String(), `level=WARN msg="unauthenticated peers are allowed`)
	require.Contains(t, log.String(), "node="+node.GetAddress().String())
}
