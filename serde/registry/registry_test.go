package registry_test

import (
	"sync"
	"testing"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/serde/registry"
	"github.com/stretchr/testify/require"
)

func TestRegistry_GivesTheEngineOfTheFormat(t *testing.T) {
	r := registry.NewSimpleRegistry()
	r.Register(serde.FormatJSON, engine("json"))
	r.Register(serde.FormatXML, engine("xml"))

	require.Equal(t, engine("json"), r.Get(serde.FormatJSON))
	require.Equal(t, engine("xml"), r.Get(serde.FormatXML))
}

func TestRegistry_LastEngineOfAFormatCounts(t *testing.T) {
	r := registry.NewSimpleRegistry()
	r.Register(serde.FormatJSON, engine("first"))
	r.Register(serde.FormatJSON, engine("second"))

	require.Equal(t, engine("second"), r.Get(serde.FormatJSON))
}

func TestRegistry_UnknownFormatHasAnEngineThatFails(t *testing.T) {
	var zero registry.SimpleRegistry

	for _, r := range []registry.Registry{registry.NewSimpleRegistry(), &zero} {
		r.Register(serde.FormatXML, engine("xml"))

		_, err := r.Get(serde.FormatJSON).Encode(json.NewContext(), message{})
		require.EqualError(t, err, `no engine for format "JSON" to encode registry_test.message`)

		_, err = r.Get(serde.FormatJSON).Decode(json.NewContext(), nil)
		require.EqualError(t, err, `no engine for format "JSON"`)
	}
}

// Packages register while others are already at work. The race detector has the say.
func TestRegistry_IsSharedByGoroutines(t *testing.T) {
	r := registry.NewSimpleRegistry()

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r.Register(serde.FormatJSON, engine("json"))
			r.Get(serde.FormatXML)
		})
	}

	wg.Wait()
	require.Equal(t, engine("json"), r.Get(serde.FormatJSON))
}

// engine is told from others by its name.
type engine string

func (engine) Encode(serde.Context, serde.Message) ([]byte, error) { return nil, nil }
func (engine) Decode(serde.Context, []byte) (serde.Message, error) { return nil, nil }

// message is empty.
type message struct{}

func (message) Serialize(serde.Context) ([]byte, error) { return nil, nil }
