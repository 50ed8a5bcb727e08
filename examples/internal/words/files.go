package words

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// sniffed is how much of a file is looked at in order to tell text from the rest.
const sniffed = 8 << 10

// Counter counts the words of one file.
type Counter func(folder fs.FS, name string) (int, error)

// List returns the text files in a folder and in those below it, in lexical
// order. It leaves out what is hidden, what is no regular file, what cannot be read,
// and what has a zero byte near its beginning. It is an error when nothing is left.
func List(folder fs.FS) ([]string, error) {
	var files []string

	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case name == ".":
			return err
		case err != nil || strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.Type().IsRegular() && isText(folder, name):
			files = append(files, name)
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}

	if len(files) == 0 {
		return nil, errors.New("list the files: there is no text among them")
	}

	return files, nil
}

// isText tells whether a file can be read and looks like text.
func isText(folder fs.FS, name string) bool {
	file, err := folder.Open(name)
	if err != nil {
		return false
	}

	defer func() { _ = file.Close() }()

	start, err := io.ReadAll(io.LimitReader(file, sniffed))

	return err == nil && !bytes.Contains(start, []byte{0})
}

// Count is a [Counter]: a word is what stands between white space.
func Count(folder fs.FS, name string) (int, error) {
	data, err := readFile(folder, name)
	if err != nil {
		return 0, err
	}

	words := 0
	for range bytes.FieldsSeq(data) {
		words++
	}

	return words, nil
}

// countAll returns the number of words in several files.
func countAll(count Counter, folder fs.FS, files []string) (int, error) {
	sum := 0

	for _, name := range files {
		words, err := count(folder, name)
		if err != nil {
			return 0, fmt.Errorf("count the words: %w", err)
		}

		sum += words
	}

	return sum, nil
}

// share returns the part of the files that the n-th of so many players counts.
func share(files []string, n, players int) []string {
	var part []string
	for i := n; i < len(files); i += players {
		part = append(part, files[i])
	}

	return part
}
