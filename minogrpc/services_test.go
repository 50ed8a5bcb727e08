package minogrpc_test

import (
	"crypto/tls"
	"testing"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// connTo returns a connection to the node, with the certificates if it has TLS.
func connTo(t *testing.T, node *minogrpc.Minogrpc, presented ...tls.Certificate) *grpc.ClientConn {
	t.Helper()

	creds := insecure.NewCredentials()
	if node.ServeTLS() {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, Certificates: presented})
	}

	conn, err := grpc.NewClient(urlOf(t, node).Host, grpc.WithTransportCredentials(creds))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return conn
}

func TestServices_NoneWithoutTheOptions(t *testing.T) {
	conn := connTo(t, start(t, minogrpc.NoTLS()))

	_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)

	_, err = inquire(t, conn).Recv()
	require.Equal(t, codes.Unimplemented, status.Code(err), "%v", err)
}

// Promise S4: a load balancer needs no certificate, and is in the cell of a stranger all the same.
func TestHealth_AnswersStrangersInTheirCell(t *testing.T) {
	client := healthpb.NewHealthClient(connTo(t, start(t, minogrpc.WithHealth())))

	for i := range 16 {
		name := []string{"", ptypes.Overlay_ServiceDesc.ServiceName}[i%2]
		answer, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		require.NoError(t, err)
		require.Equal(t, healthpb.HealthCheckResponse_SERVING, answer.GetStatus())
	}

	_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
}

func TestHealth_UnknownServiceIsNotFound(t *testing.T) {
	client := healthpb.NewHealthClient(connTo(t, start(t, minogrpc.NoTLS(), minogrpc.WithHealth())))

	_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "another"})
	require.Equal(t, codes.NotFound, status.Code(err), "%v", err)

	watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "another"})
	require.NoError(t, err)

	answer, err := watch.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVICE_UNKNOWN, answer.GetStatus())
}

// Promise S3: messages to these services are not inflated either.
func TestServices_CompressedIsRefused(t *testing.T) {
	conn := connTo(t, start(t, minogrpc.NoTLS(), minogrpc.WithHealth(), minogrpc.WithReflection()))
	zipped := grpc.UseCompressor(gzip.Name)

	_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "x"}, zipped)
	require.ErrorContains(t, err, "compressed messages are not accepted")

	_, err = inquire(t, conn, zipped).Recv()
	require.ErrorContains(t, err, "compressed messages are not accepted")
}

func TestHealth_StopIsNotServingAndDoesNotWait(t *testing.T) {
	node := start(t, minogrpc.NoTLS(), minogrpc.WithHealth())

	watch, err := healthpb.NewHealthClient(connTo(t, node)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)

	answer, err := watch.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, answer.GetStatus())

	require.NoError(t, node.GracefulStop())

	answer, err = watch.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, answer.GetStatus())

	// A call that is cut off after the grace period has another text.
	_, err = watch.Recv()
	require.ErrorContains(t, err, "the node is stopping")
}

type reflection = grpc.BidiStreamingClient[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]

// inquire opens a stream of questions, with a first one for the names of the services.
func inquire(t *testing.T, conn *grpc.ClientConn, opts ...grpc.CallOption) reflection {
	t.Helper()

	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context(), opts...)
	require.NoError(t, err)
	inquireAgain(stream)

	return stream
}

// inquireAgain asks for the names once more. The answer has the error if the call has ended.
func inquireAgain(stream reflection) {
	_ = stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	})
}

// Promise S2: a stranger does not learn what the process is made of, nor does a node that is not
// believed any more.
func TestReflection_IsForMembers(t *testing.T) {
	node := start(t, minogrpc.WithReflection())
	member := strangerCertificate(t)
	addr := minogrpc.NewAddressFactory().FromText([]byte("FBmember:1"))
	require.NoError(t, node.GetCertificateStore().Store(addr, chainOf(&member)))

	// It is refused also if it asks nothing.
	silent, err := reflectionpb.NewServerReflectionClient(connTo(t, node)).ServerReflectionInfo(t.Context())
	require.NoError(t, err)

	_, err = silent.Recv()
	require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)

	_, err = inquire(t, connTo(t, node, strangerCertificate(t))).Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)

	stream := inquire(t, connTo(t, node, member))
	answer, err := stream.Recv()
	require.NoError(t, err)

	services := answer.GetListServicesResponse().GetService()
	names := make([]string, len(services))

	for i, service := range services {
		names[i] = service.GetName()
	}

	require.ElementsMatch(t, []string{
		ptypes.Overlay_ServiceDesc.ServiceName, reflectionpb.ServerReflection_ServiceDesc.ServiceName,
	}, names)

	require.NoError(t, node.GetCertificateStore().Delete(addr))
	inquireAgain(stream)

	_, err = stream.Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
}

func TestReflection_SilentCallerDoesNotHoldUpAStop(t *testing.T) {
	node := start(t, minogrpc.NoTLS(), minogrpc.WithReflection())
	stream := inquire(t, connTo(t, node))

	_, err := stream.Recv()
	require.NoError(t, err)
	require.NoError(t, node.GracefulStop())

	_, err = stream.Recv()
	require.ErrorContains(t, err, "the node is stopping")
}
