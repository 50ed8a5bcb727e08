package offer_test

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/offer"
	"github.com/stretchr/testify/require"
)

const id = "000102030405060708090a0b0c0d0e0f"

// Promise R3: an offer is input, and means the same whatever else is around it.
func TestParse_TakesWhatCanBeKept(t *testing.T) {
	first := offer.Offer{ID: id, Epoch: 1, Frame: 1 << 18, Formats: []string{"tree1"}}

	table := []struct {
		name, value string
		want        offer.Offer
	}{
		{"first stream", "epoch=1;received=0;frame=262144;format=tree1", first},
		{"later stream", "epoch=7;received=42;frame=4096;format=a+b", offer.Offer{
			ID: id, Epoch: 7, Received: 42, Frame: 4096, Formats: []string{"a", "b"},
		}},
		{"capabilities", "epoch=1;frame=4096;can=x+y", offer.Offer{
			ID: id, Epoch: 1, Frame: 4096, Can: []string{"x", "y"},
		}},
		{"no format", "epoch=1;frame=4096", offer.Offer{ID: id, Epoch: 1, Frame: 4096}},
		{"any order", "frame=262144;format=tree1;epoch=1", first},
		{"unknown fields", "new;epoch=1;x=y=z;frame=262144;format=tree1;", first},
		{"first of two", "epoch=1;epoch=2;frame=262144;format=tree1", first},
		{"frame too large", "epoch=1;frame=18446744073709551615;format=tree1", first},
		{"received is no number", "epoch=1;received=-1;frame=262144;format=tree1", first},
	}

	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			idFirst := "duplex-1;id=" + id + ";" + row.value
			idLast := "duplex-1;" + row.value + ";id=" + id

			for _, value := range []string{idFirst, idLast} {
				got, ok := offer.Parse([]string{"goodbye", value, "duplex-1;epoch=9"})
				require.True(t, ok)
				require.Equal(t, row.want, got)
			}
		})
	}
}

// Promise R3: an offer that this node cannot keep to is none.
func TestParse_RefusesWhatCannotBeKept(t *testing.T) {
	for name, value := range map[string]string{
		"only a goodbye":     "goodbye",
		"empty":              "",
		"another version":    "duplex-2;id=" + id + ";epoch=1;frame=4096",
		"longer version":     "duplex-10;id=" + id + ";epoch=1;frame=4096",
		"no id":              "duplex-1;epoch=1;frame=4096",
		"short id":           "duplex-1;id=00;epoch=1;frame=4096",
		"long id":            "duplex-1;id=" + id + "00;epoch=1;frame=4096",
		"id of other digits": "duplex-1;id=" + strings.Repeat("xy", 16) + ";epoch=1;frame=4096",
		"no epoch":           "duplex-1;id=" + id + ";frame=4096",
		"epoch of 0":         "duplex-1;id=" + id + ";epoch=0;frame=4096",
		"epoch too large":    "duplex-1;id=" + id + ";epoch=18446744073709551616;frame=4096",
		"no frame":           "duplex-1;id=" + id + ";epoch=1",
		"frame too small":    "duplex-1;id=" + id + ";epoch=1;frame=4095",
		"frame is negative":  "duplex-1;id=" + id + ";epoch=1;frame=-4096",
		"acceptance":         "duplex-1;received=0;frame=262144;session=00",
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := offer.Parse([]string{value})
			require.False(t, ok)
			require.Zero(t, got)
		})
	}

	_, ok := offer.Parse(nil)
	require.False(t, ok)
}

// Promise R3: an acceptance is input, too.
func TestParseAcceptance_TakesWhatCanBeKept(t *testing.T) {
	plain := offer.Acceptance{Frame: 1 << 18, Session: "b0"}

	for name, row := range map[string]struct {
		value string
		want  offer.Acceptance
	}{
		"full": {"duplex-1;received=9;frame=4096;format=tree1;session=b0", offer.Acceptance{
			Received: 9, Frame: 4096, Format: "tree1", Session: "b0",
		}},
		"capabilities": {"duplex-1;frame=4096;session=b0;can=x+y;wait=20000", offer.Acceptance{
			Frame: 4096, Session: "b0", Can: []string{"x", "y"}, Wait: 20 * time.Second,
		}},
		"wait too long": {"duplex-1;frame=4096;session=b0;wait=18446744073709551615", offer.Acceptance{
			Frame: 4096, Session: "b0", Wait: offer.MaxWait,
		}},
		"wait is no number": {"duplex-1;frame=262144;session=b0;wait=-1", plain},
		"plain":             {"duplex-1;frame=262144;session=b0", plain},
		"any order":         {"duplex-1;session=b0;frame=262144", plain},
		"unknown fields":    {"duplex-1;frame=262144;session=b0;more=1", plain},
		"frame too large":   {"duplex-1;frame=262145;session=b0", plain},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := offer.ParseAcceptance([]string{"x", row.value})
			require.True(t, ok)
			require.Equal(t, row.want, got)
		})
	}
}

// Promise R3: an acceptance that this node cannot keep to is none.
func TestParseAcceptance_RefusesWhatCannotBeKept(t *testing.T) {
	for name, value := range map[string]string{
		"another version": "duplex-2;frame=4096;session=b0",
		"no session":      "duplex-1;frame=4096",
		"empty session":   "duplex-1;frame=4096;session=",
		"no frame":        "duplex-1;session=b0",
		"frame too small": "duplex-1;frame=4095;session=b0",
		"offer":           "duplex-1;id=" + id + ";epoch=1;frame=4096",
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := offer.ParseAcceptance([]string{value})
			require.False(t, ok)
			require.Zero(t, got)
		})
	}
}

// The texts are what other nodes read, and empty fields are left out.
func TestValue_IsWhatTravels(t *testing.T) {
	const begin = "duplex-1;id=" + id + ";epoch=2;received=18446744073709551615;frame=4096"

	o := offer.Offer{ID: id, Epoch: 2, Received: math.MaxUint64, Frame: 4096}
	require.Equal(t, begin, o.Value())

	o.Formats = []string{"tree1", "tree2"}
	require.Equal(t, begin+";format=tree1+tree2", o.Value())

	a := offer.Acceptance{Received: 5, Frame: 262144, Session: "b0"}
	require.Equal(t, "duplex-1;received=5;frame=262144;session=b0", a.Value())

	a.Format = "tree1"
	require.Equal(t, "duplex-1;received=5;frame=262144;format=tree1;session=b0", a.Value())

	a.Can, a.Wait = []string{"x", "y"}, 1500*time.Millisecond
	require.Equal(t, "duplex-1;received=5;frame=262144;format=tree1;session=b0;can=x+y;wait=1500", a.Value())
}

// The format of the link is the one that this node likes best of those that both have.
func TestChoose_TakesTheFirstThatBothHave(t *testing.T) {
	table := map[string]struct {
		offered, own []string
		want         string
	}{
		"the same":      {offered: []string{"a"}, own: []string{"a"}, want: "a"},
		"own order":     {offered: []string{"a", "b"}, own: []string{"b", "a"}, want: "b"},
		"second choice": {offered: []string{"a"}, own: []string{"b", "a"}, want: "a"},
		"none in both":  {offered: []string{"a"}, own: []string{"b"}},
		"none offered":  {own: []string{"b"}},
		"none here":     {offered: []string{"a"}},
	}

	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, row.want, offer.Offer{Formats: row.offered}.Choose(row.own))
		})
	}
}

// Both ends do only what both can.
func TestCommon_IsWhatBothCan(t *testing.T) {
	o := offer.Offer{Can: []string{"x", "y"}}

	require.Equal(t, []string{"y"}, o.Common([]string{"z", "y"}))
	require.Empty(t, o.Common(nil))
	require.Empty(t, offer.Offer{}.Common([]string{"x"}))
}

// Promise S2: the id of a link is 128 random bits.
func TestNewID_IsRandom(t *testing.T) {
	seen := make(map[string]bool)

	for range 100 {
		text := offer.NewID()

		raw, err := hex.DecodeString(text)
		require.NoError(t, err)
		require.Len(t, raw, 16)
		require.False(t, seen[text])

		seen[text] = true
	}
}

// Promise R3: whatever the header holds, an offer or an acceptance that is taken is within
// the limits, and means the same when it is printed and parsed again.
func FuzzParse(f *testing.F) {
	f.Add("duplex-1;id=" + id + ";epoch=1;received=0;frame=262144;format=tree1")
	f.Add("duplex-1;received=5;frame=262144;format=tree1;session=b0")
	f.Add("duplex-1;id=" + id + ";epoch=18446744073709551615;frame=99999999999;format=a+b++;session==")
	f.Add("goodbye")
	f.Add("duplex-1;;=;=;frame=4096;session=;")

	f.Fuzz(func(t *testing.T, value string) {
		o, ok := offer.Parse([]string{value})
		if ok {
			require.Len(t, o.ID, 32)
			require.Positive(t, o.Epoch)
			require.GreaterOrEqual(t, o.Frame, offer.MinFrame)
			require.LessOrEqual(t, o.Frame, offer.MaxFrame)

			again, ok := offer.Parse([]string{o.Value()})
			require.True(t, ok)
			require.Equal(t, o, again)
		}

		a, ok := offer.ParseAcceptance([]string{value})
		if ok {
			require.NotEmpty(t, a.Session)
			require.GreaterOrEqual(t, a.Frame, offer.MinFrame)
			require.LessOrEqual(t, a.Frame, offer.MaxFrame)

			again, ok := offer.ParseAcceptance([]string{a.Value()})
			require.True(t, ok)
			require.Equal(t, a, again)
		}
	})
}
