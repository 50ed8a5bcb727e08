package session_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What SECURITY.md says is withstood has a test, and each file that it names is there.
func TestSecurity_EachAttackHasATest(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)

	named := regexp.MustCompile("`([a-z0-9_/]+_test\\.go)`")
	for _, file := range named.FindAllStringSubmatch(string(page), -1) {
		require.FileExists(t, file[1])
	}

	rows := 0

	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")

		// The first column of a title is bold, and its others are empty.
		if len(cells) == 3 && !strings.HasPrefix(line, "| **") && !strings.Contains(line, "| attack |") &&
			strings.Contains(line, "`") {
			rows++

			require.Regexp(t, named, cells[2], "%s", cells[0])
		}
	}

	require.Greater(t, rows, 40)
}
