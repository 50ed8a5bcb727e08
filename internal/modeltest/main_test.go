package modeltest_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// checks is how many cases of each profile a run plays, unless -rapid.checks says otherwise. They
// are others in each run.
const checks = "30"

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}

	goleak.VerifyTestMain(m)
}
