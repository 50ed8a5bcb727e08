package minogrpc_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// statsHandler notes the calls that gRPC tells it of.
type statsHandler struct {
	mu    sync.Mutex
	calls []string
}

func (h *statsHandler) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()

	h.calls = append(h.calls, info.FullMethodName)

	return ctx
}

func (h *statsHandler) HandleRPC(context.Context, stats.RPCStats) {}

func (h *statsHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (h *statsHandler) HandleConn(context.Context, stats.ConnStats) {}

func (h *statsHandler) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.calls
}

// wrapped is a stream as an interceptor passes it on.
type wrapped struct{ grpc.ServerStream }

func TestServerOptions_StatsAndInterceptors(t *testing.T) {
	handler := new(statsHandler)
	unary, streams := make(chan string, 100), make(chan string, 100)

	nodes, rpc := startAll(t, 2, echo, minogrpc.WithServerOptions(
		grpc.StatsHandler(handler),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo,
			next grpc.UnaryHandler,
		) (any, error) {
			unary <- info.FullMethod

			return next(ctx, req)
		})), minogrpc.WithServerOptions(grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream,
		info *grpc.StreamServerInfo, next grpc.StreamHandler,
	) error {
		streams <- info.FullMethod

		return next(srv, wrapped{stream})
	})))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)
	require.Equal(t, ptypes.Overlay_Stream_FullMethodName, <-streams)

	answers, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes[1]))
	require.NoError(t, err)

	answer, err := (<-answers).GetMessageOrError()
	require.NoError(t, err)
	require.Equal(t, text("hello"), answer)

	for method := range unary {
		if method == ptypes.Overlay_Call_FullMethodName {
			break
		}
	}

	require.Contains(t, handler.told(), ptypes.Overlay_Stream_FullMethodName)
	require.Contains(t, handler.told(), ptypes.Overlay_Call_FullMethodName)
}

// Promise S2: an interceptor runs before the caller is checked, and changes nothing about the check.
func TestServerOptions_InterceptorMeetsStrangers(t *testing.T) {
	met := make(chan string, 1)
	node := start(t, minogrpc.WithServerOptions(grpc.ChainUnaryInterceptor(func(ctx context.Context, req any,
		info *grpc.UnaryServerInfo, next grpc.UnaryHandler,
	) (any, error) {
		met <- info.FullMethod

		return next(ctx, req)
	})))

	_, err := strangerTo(t, node).Call(t.Context(), &ptypes.Message{From: []byte("FB127.0.0.1:1")})
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	require.Equal(t, ptypes.Overlay_Call_FullMethodName, <-met)
}

// Promise S1: a panic in an interceptor ends its call alone.
func TestServerOptions_PanicOfAnInterceptorIsContained(t *testing.T) {
	node := start(t, minogrpc.NoTLS(), minogrpc.WithServerOptions(
		grpc.ChainUnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			panic("unary")
		}),
		grpc.ChainStreamInterceptor(func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			panic("stream")
		})))
	client := dial(t, node)

	_, err := client.Call(t.Context(), &ptypes.Message{})
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "unary")

	_, err = openStream(t, client, header()).Recv()
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "stream")
}

// Promise S1: an option that gRPC panics on is an error, and the port is free again.
func TestServerOptions_PanicIsAnError(t *testing.T) {
	for name, opt := range map[string]grpc.ServerOption{
		"nil": nil,
		"unary": grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo,
			next grpc.UnaryHandler,
		) (any, error) {
			return next(ctx, req)
		}),
		"stream": grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo,
			next grpc.StreamHandler,
		) error {
			return next(srv, stream)
		}),
		"tap": grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) { return ctx, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			listener := listen(t)
			_, err := minogrpc.NewMinogrpc(nil, nil, tree.NewRouter(minogrpc.NewAddressFactory()),
				transport(), minogrpc.WithListener(listener), minogrpc.WithServerOptions(opt))
			require.ErrorIs(t, err, contain.ErrPanic)
			require.ErrorContains(t, err, "WithServerOptions")

			_, err = listener.Accept()
			require.Error(t, err)
		})
	}
}

// brokenCodec fails with all that it is given.
type brokenCodec struct{ encoding.Codec }

func (brokenCodec) Marshal(any) ([]byte, error) { return nil, errors.New("broken") }
func (brokenCodec) Unmarshal([]byte, any) error { return errors.New("broken") }
func (brokenCodec) Name() string                { return proto.Name }

// Promise S3: the options of the user do not move the bounds of the node, nor what proves who it is.
func TestServerOptions_TheNodeHasTheLastWord(t *testing.T) {
	nodes, rpc := startAll(t, 2, echo, minogrpc.WithServerOptions(
		grpc.Creds(insecure.NewCredentials()),
		grpc.ForceServerCodec(brokenCodec{}),
		grpc.MaxRecvMsgSize(1),
		grpc.MaxSendMsgSize(1),
		grpc.MaxHeaderListSize(1),
		grpc.MaxConcurrentStreams(1),
		grpc.ConnectionTimeout(1),
		grpc.WaitForHandlers(true),
	))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)
}
