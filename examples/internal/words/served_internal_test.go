package words

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A member that asks for what is not served gets nothing of it, and does not hold up the node.
func TestWorker_CountsNothingThatIsNotServed(t *testing.T) {
	served, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("top secret words"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(served, "text"), []byte("two words"), 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(served, "link")))
	require.NoError(t, os.Symlink(outside, filepath.Join(served, "away")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(served, "zero")))
	require.NoError(t, os.Mkdir(filepath.Join(served, "folder"), 0o700))

	large, err := os.Create(filepath.Join(served, "large"))
	require.NoError(t, err)
	require.NoError(t, large.Truncate(maxFile+1))
	require.NoError(t, large.Close())

	w := Worker{me: "a", count: Count}.Serving(served)
	ask := func(dir, file string) *Reply {
		return w.answer(&request{Dir: dir, Files: []string{file}, Players: []string{"a"}})
	}

	require.Equal(t, &Reply{Files: 1, Words: 2}, ask(served, "text"))

	for _, c := range [][2]string{
		{outside, "secret"}, {"/etc", "passwd"}, {served + "/..", "x"},
		{served, "../secret"}, {served, "link"},
		{filepath.Join(served, "away"), "secret"}, {served, "zero"}, {served, "folder"}, {served, "large"},
		{"", "text"},
	} {
		re := ask(c[0], c[1])
		require.NotEmpty(t, re.Error, "%v", c)
		require.Zero(t, re.Words, "%v", c)
	}
}
