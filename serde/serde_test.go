package serde_test

import (
	"sync"
	"testing"

	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

func TestContext_UnknownKeyHasNoFactory(t *testing.T) {
	require.Nil(t, json.NewContext().GetFactory("key"))
}

func TestWithFactory_NeverChangesTheParent(t *testing.T) {
	parent := serde.WithFactory(json.NewContext(), "key", factory("parent"))
	child := serde.WithFactory(parent, "key", factory("child"))
	other := serde.WithFactory(parent, "other", factory("other"))

	require.Equal(t, factory("parent"), parent.GetFactory("key"))
	require.Nil(t, parent.GetFactory("other"))

	require.Equal(t, factory("child"), child.GetFactory("key"))
	require.Nil(t, child.GetFactory("other"))

	require.Equal(t, factory("parent"), other.GetFactory("key"))
	require.Equal(t, factory("other"), other.GetFactory("other"))
}

func TestWithFactory_NilHidesTheFactoryOfTheParent(t *testing.T) {
	parent := serde.WithFactory(json.NewContext(), "key", factory("parent"))

	require.Nil(t, serde.WithFactory(parent, "key", nil).GetFactory("key"))
}

func TestWithFactory_KeysOfDifferentTypesDoNotCollide(t *testing.T) {
	type key struct{}

	ctx := serde.WithFactory(json.NewContext(), key{}, factory("mine"))

	require.Nil(t, ctx.GetFactory(struct{}{}))
	require.Equal(t, factory("mine"), ctx.GetFactory(key{}))
}

func TestWithFactory_KeepsTheEngine(t *testing.T) {
	ctx := serde.WithFactory(json.NewContext(), "key", factory(""))

	require.Equal(t, serde.FormatJSON, ctx.GetFormat())
}

// A context is shared by all the goroutines of a node. The race detector has the
// say.
func TestWithFactory_ParentIsSharedByGoroutines(t *testing.T) {
	parent := serde.WithFactory(json.NewContext(), "key", factory("parent"))
	found := make([]serde.Factory, 8)

	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { found[i] = serde.WithFactory(parent, i, factory("child")).GetFactory(i) })
	}

	wg.Wait()

	for i := range found {
		require.Equal(t, factory("child"), found[i])
		require.Nil(t, parent.GetFactory(i))
	}
}

// factory is told from others by its name.
type factory string

func (factory) Deserialize(serde.Context, []byte) (serde.Message, error) { return nil, nil }
