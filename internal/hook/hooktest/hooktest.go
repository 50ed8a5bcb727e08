// Package hooktest checks how observers are joined.
package hooktest

import (
	"reflect"
	"slices"
	"testing"
)

// Joins checks that an observer, which is a struct of functions, tells both of everything, the first one
// first, and that what neither wants stays nil.
func Joins[Observer any](t *testing.T, join func(first, second Observer) Observer) {
	t.Helper()

	var (
		calls []string
		none  Observer
	)

	first, second := recording[Observer]("first", &calls), recording[Observer]("second", &calls)
	kind := reflect.TypeFor[Observer]()

	for i := range kind.NumField() {
		name := kind.Field(i).Name
		check := func(joined Observer, want ...string) {
			calls = nil

			invoke(reflect.ValueOf(joined).Field(i))

			if !slices.Equal(calls, want) {
				t.Errorf("called %v and not %v", calls, want)
			}
		}

		check(join(first, second), "first "+name, "second "+name)
		check(join(none, second), "second "+name)
		check(join(first, none), "first "+name)

		if !reflect.ValueOf(join(none, none)).Field(i).IsNil() {
			t.Errorf("%s costs something", name)
		}
	}
}

// recording returns an observer all of whose functions note their call.
func recording[Observer any](who string, calls *[]string) Observer {
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
