package session

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every function of both observers is called, this one's first.
func TestObserver_JoinTellsBothOfEverything(t *testing.T) {
	var calls []string

	first, second := recording("first", &calls), recording("second", &calls)
	both := reflect.ValueOf(first.join(second))
	kind := both.Type()

	for i := range kind.NumField() {
		calls = nil
		name := kind.Field(i).Name

		invoke(both.Field(i))
		require.Equal(t, []string{"first " + name, "second " + name}, calls)

		alone := reflect.ValueOf(Observer{}.join(second))
		calls = nil
		invoke(alone.Field(i))
		require.Equal(t, []string{"second " + name}, calls)

		alone = reflect.ValueOf(first.join(Observer{}))
		calls = nil
		invoke(alone.Field(i))
		require.Equal(t, []string{"first " + name}, calls)

		require.True(t, reflect.ValueOf(Observer{}.join(Observer{})).Field(i).IsNil(), "%s costs something", name)
	}
}

// recording returns an observer all of whose functions note their call.
func recording(who string, calls *[]string) Observer {
	var o Observer

	v := reflect.ValueOf(&o).Elem()

	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
			*calls = append(*calls, who+" "+name)

			return nil
		}))
	}

	return o
}

// invoke calls a function with zero values.
func invoke(fn reflect.Value) {
	args := make([]reflect.Value, fn.Type().NumIn())
	for i := range args {
		args[i] = reflect.Zero(fn.Type().In(i))
	}

	fn.Call(args)
}
