package host_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestRegister_NamesAndSegments(t *testing.T) {
	const rule = ": it is one or more ASCII letters and digits"

	inWorld(t, func(w *world) {
		a := w.start("a:1", echo)
		path := host.Path{}.With("one")

		p, err := a.Register(path.With("two"), "test", echo, texts{})
		require.NoError(w, err)
		require.Equal(w, "one/two/test", p.URI())

		ctx := metadata.NewIncomingContext(w.Context(), metadata.Pairs(session.URIKey, "one/two/test"))
		found, err := a.Lookup(ctx)
		require.NoError(w, err)
		require.Same(w, p, found)

		for _, tc := range []struct {
			path    host.Path
			name    string
			handler mino.Handler
			factory serde.Factory
			want    string
		}{
			{path.With("two"), "test", echo, texts{}, `procedure "one/two/test" is already registered`},
			{path, "", echo, texts{}, `invalid name "" of a procedure` + rule},
			{path, "a/b", echo, texts{}, `invalid name "a/b" of a procedure` + rule},
			{path.With("a/b"), "test", echo, texts{}, `invalid segment in "one/a/b/"`},
			{path.With("").With("good"), "test", echo, texts{}, `invalid segment in "one//good/"`},
			{path, "test", nil, texts{}, `procedure "test" needs a handler and a factory`},
			{path, "test", echo, nil, `procedure "test" needs a handler and a factory`},
		} {
			_, err := a.Register(tc.path, tc.name, tc.handler, tc.factory)
			require.EqualError(w, err, tc.want)
		}
	})
}

func TestProcess_Statuses(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start("a:1", handler{process: func(req mino.Request) (serde.Message, error) {
			require.Equal(w, session.NewAddress("grpc://b:1"), req.Address)

			switch req.Message {
			case text("nothing"):
				return nil, nil
			case text("fail"):
				return nil, errors.New("the handler has had enough")
			case text("panic"):
				panic("the handler has lost its mind")
			default:
				return req.Message, nil
			}
		}})

		for payload, want := range map[string]error{
			"hello":          nil,
			"nothing":        nil,
			"malformed":      status.Error(codes.InvalidArgument, "message: it makes no sense"),
			"fail":           status.Error(codes.Unknown, "the handler has had enough"),
			"panic":          status.Error(codes.Internal, "panic: the handler has lost its mind"),
			"unserializable": status.Error(codes.Internal, "serialize message: it has no form"),
		} {
			answer, err := a.test.Process(w.Context(), session.NewAddress("grpc://b:1"), []byte(payload))
			require.Equal(w, want, err, payload)

			switch {
			case want != nil || payload == "nothing":
				require.Empty(w, answer)
			default:
				require.Equal(w, payload, string(answer))
			}
		}
	})
}
