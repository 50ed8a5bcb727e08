package debug_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/stretchr/testify/require"
)

// fill sets each string below a value to a text, each number to n, and gives each list one item.
func fill(v reflect.Value, text string, n int64) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(n)
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}

		for _, field := range v.Fields() {
			fill(field, text, n)
		}
	default:
	}
}

// hostile returns a snapshot with that text in each field that has a text.
func hostile(text string) minogrpc.Snapshot {
	var snap minogrpc.Snapshot

	fill(reflect.ValueOf(&snap).Elem(), text, int64(5*time.Second))
	snap.Streams[0].Failures[0].Ago = time.Second

	return snap
}

// Promise L5: no text of another node is markup, or ends the text of a script, wherever it gets to.
func TestHandler_HostileTextsAreEscaped(t *testing.T) {
	for name, text := range map[string]string{
		"script":    `</script><script>alert(1)</script>`,
		"attribute": `"><img src=x onerror='alert(1)'>`,
		"lines":     "a\r\nSet-Cookie: b\n\n<b>\u2028\u2029</b>",
		"not UTF-8": "<\xff\xfe>",
		"entity":    "&lt;&#60;<!--",
	} {
		t.Run(name, func(t *testing.T) {
			snap := hostile(text)

			if name == "script" {
				snap.Streams[0].Failures[0].Cause = strings.Repeat(text, 1<<20/len(text))
			}

			h := debug.Handler(always(snap))

			for _, path := range paths[:4] {
				require.Equal(t, get(debug.Handler(always(minogrpc.Snapshot{})), http.MethodGet, path).Body.String(),
					get(h, http.MethodGet, path).Body.String(), "the files of the page are always the same")
			}

			re := get(h, http.MethodGet, "/snapshot.json")
			answer := re.Body.String()
			require.NotContains(t, answer, "<")
			require.NotContains(t, answer, ">")
			require.NotContains(t, answer, "&")
			require.NotContains(t, answer, "\n")
			require.NotContains(t, answer, "\u2028")
			require.Len(t, re.Header(), 8, "none is added: %v", re.Header())

			var back debug.Page

			require.NoError(t, json.Unmarshal([]byte(answer), &back))
			require.Equal(t, strings.ToValidUTF8(text, "\uFFFD"),
				strings.ReplaceAll(back.Address, "\uFFFD\uFFFD", "\uFFFD"))
			require.NotEmpty(t, back.StandsOut)

			// A note has the texts of this node alone.
			for _, f := range back.StandsOut {
				for _, n := range f.Notes {
					require.NotContains(t, n.Text, text[:2])
					require.Less(t, len(n.Text), 200)
				}
			}
		})
	}
}

// above is a node whose descendants are hostile.
type above struct {
	node

	text string
}

// Descendants implements debug.Asker.
func (a above) Descendants(context.Context, minogrpc.Snapshot) []minogrpc.Descendants {
	st := hostile(a.text).Streams[0]

	return []minogrpc.Descendants{{Stream: a.text, Role: host.StreamRoot, Below: []minogrpc.Branch{
		{Address: a.text, Stream: &st, Below: []minogrpc.Branch{{Address: a.text, Missing: a.text}}},
	}}}
}

// Promise L5: what the nodes below say is no markup either, and nobody is asked without the option.
func TestHandler_HostileDescendantsAreEscaped(t *testing.T) {
	const text = `</script><img src=x onerror='alert(1)'>&`

	n := above{always(minogrpc.Snapshot{}), text}

	answer := get(debug.Handler(n, debug.WithDescendants()), http.MethodGet, "/snapshot.json").Body.String()
	require.Contains(t, answer, "alert(1)")
	require.NotContains(t, answer, "<")
	require.NotContains(t, answer, ">")
	require.NotContains(t, answer, "&")

	var page debug.Page

	require.NoError(t, json.Unmarshal([]byte(answer), &page))
	require.NotEmpty(t, page.StandsOut)

	for _, f := range page.StandsOut {
		for _, note := range f.Notes {
			require.NotContains(t, note.Text, "img")
		}
	}

	require.NotContains(t, get(debug.Handler(n), http.MethodGet, "/snapshot.json").Body.String(), "alert(1)")
}

// A state of a later version is a text like any other.
func TestFindings_UnknownStateIsNoFault(t *testing.T) {
	snap := hostile("new")
	snap.Streams = append(snap.Streams, host.Stream{})
	require.NotPanics(t, func() { debug.Findings(snap) })
}
