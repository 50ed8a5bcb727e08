package words

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestList_TextOnlyAndInOrder(t *testing.T) {
	files, err := List(fstest.MapFS{
		"b.txt":        {Data: []byte("two words")},
		"a/z.txt":      {Data: []byte("one")},
		"a/empty":      {},
		".git/config":  {Data: []byte("hidden")},
		"a/.hidden":    {Data: []byte("hidden")},
		"picture":      {Data: []byte("PNG\x00\x01")},
		"a/link":       {Data: []byte("b.txt"), Mode: fs.ModeSymlink},
		"c/deep/d.txt": {Data: []byte("one")},
	})

	require.NoError(t, err)
	require.Equal(t, []string{"a/empty", "a/z.txt", "b.txt", "c/deep/d.txt"}, files)
}

func TestCount_SplitsAtWhiteSpace(t *testing.T) {
	folder := fstest.MapFS{"f": {Data: []byte("\tone two,three\n\nfour — \u00e9\u00e8\n")}}

	words, err := Count(folder, "f")
	require.NoError(t, err)
	require.Equal(t, 5, words)

	_, err = Count(folder, "g")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestShare_EveryFileOnce(t *testing.T) {
	files := []string{"a", "b", "c", "d", "e", "f", "g"}

	for players := 1; players <= 10; players++ {
		var all []string
		for n := range players {
			all = append(all, share(files, n, players)...)
		}

		require.ElementsMatch(t, files, all, "%d players", players)
	}
}
