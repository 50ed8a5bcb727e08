package minogrpc

import (
	"context"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc/internal/gate"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

var (
	errNoService = status.Error(codes.NotFound, "unknown service")
	errStopping  = status.Error(codes.Unavailable, "the node is stopping")
)

// WithHealth makes the node answer the health checks of gRPC (grpc.health.v1), Check and Watch, for
// the names "" and "ptypes.Overlay". The status is SERVING until a stop begins. Then those who watch
// hear NOT_SERVING and their calls end, so that they do not hold up the stop.
//
// It answers ANYBODY, because load balancers have no certificates. A check tells that the node runs,
// which a stranger also learns from a handshake, and nothing about other nodes. On a node with TLS,
// a client without the certificate of a known node is a stranger here as elsewhere: the node ends its
// connection after 16 calls or 40 seconds. So let a prober make a new connection for each check, as
// Kubernetes does.
func WithHealth() Option {
	return optionFunc(func(c *config) { c.health = true })
}

// WithReflection makes the node describe its services (grpc.reflection.v1), for tools such as grpcurl.
// The descriptions are those of all protobuf files in the process, also of the application. On a node
// with TLS only a caller with the certificate of a known node gets them. With [NoTLS] and
// [AllowUnauthenticatedPeers] anybody gets them.
func WithReflection() Option {
	return optionFunc(func(c *config) { c.reflection = true })
}

// register adds the services of the node to its server. All of them refuse compressed messages.
func (m *Minogrpc) register() {
	to := gate.Uncompressed{ServiceRegistrar: m.server}
	ptypes.RegisterOverlayServer(to, &overlay{Minogrpc: m})

	if m.health {
		healthpb.RegisterHealthServer(to, &health{node: m})
	}

	if m.inspection {
		ptypes.RegisterInspectionServer(to, &inspection{node: m, asked: make(chan struct{}, maxInspections)})
	}

	if m.reflection {
		inner := reflection.NewServerV1(reflection.ServerOptions{Services: m.server})
		reflectionpb.RegisterServerReflectionServer(to, &reflector{inner, m})
	}
}

// health answers health checks. It has no state: the host knows whether the node serves.
type health struct {
	healthpb.UnimplementedHealthServer

	node *Minogrpc
}

// Check tells the status of a service.
func (h *health) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	current := h.of(req.GetService())
	if current == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, errNoService
	}

	return &healthpb.HealthCheckResponse{Status: current}, nil
}

// Watch tells the status of a service, and tells it once more when the node stops.
func (h *health) Watch(req *healthpb.HealthCheckRequest,
	stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	first := h.of(req.GetService())
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: first}); err != nil {
		return err
	}

	select {
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	case <-h.node.host.Stopping().Done():
	}

	if last := h.of(req.GetService()); last != first {
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: last}); err != nil {
			return err
		}
	}

	return errStopping
}

// of returns the status of a service.
func (h *health) of(service string) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case service != "" && service != ptypes.Overlay_ServiceDesc.ServiceName:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case h.node.host.Serving() != nil:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
		return healthpb.HealthCheckResponse_SERVING
	}
}

// reflector describes the services to the members of the network.
type reflector struct {
	reflectionpb.ServerReflectionServer

	node *Minogrpc
}

// ServerReflectionInfo answers questions until the caller has no more, or the node stops.
func (r *reflector) ServerReflectionInfo(
	stream grpc.BidiStreamingServer[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse],
) error {
	if err := r.node.guard.CheckAnyNode(callerOf(stream.Context())); err != nil {
		return err
	}

	return r.ServerReflectionServer.ServerReflectionInfo(&reflected{stream, r.node})
}

// reflected is a stream of questions that a stop ends, and that asks about the caller each time.
type reflected struct {
	grpc.BidiStreamingServer[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]

	node *Minogrpc
}

// Recv waits for the next question. gRPC ends a call that waits only together with its connection, and
// a caller that is silent would hold up the stop.
func (r *reflected) Recv() (*reflectionpb.ServerReflectionRequest, error) {
	type question struct {
		req *reflectionpb.ServerReflectionRequest
		err error
	}

	next := make(chan question, 1)

	// It ends at the latest when the call does, as the handler returns then.
	go func() {
		req, err := contain.Call(r.BidiStreamingServer.Recv)
		next <- question{req, err}
	}()

	select {
	case q := <-next:
		if q.err == nil {
			q.err = r.node.guard.CheckAnyNode(callerOf(r.Context()))
		}

		return q.req, q.err
	case <-r.node.host.Stopping().Done():
		return nil, errStopping
	}
}
