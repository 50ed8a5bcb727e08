package worlds_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// outageChecks is how many trees TestDetour_RandomOutages plays, unless -rapid.checks says
// otherwise. Each has 40 nodes, and takes long with the race detector.
const outageChecks = "20"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", outageChecks); err != nil {
		panic(err)
	}

	goleak.VerifyTestMain(m)
}
