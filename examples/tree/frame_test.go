package main

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// window80 is the window of a terminal of which nothing is known.
var window80 = window{width: 80, height: 24}

// five returns a board with five players, of which the second has two below it.
func five() *board {
	b := &board{title: "5 nodes count the words of 20 files.", news: "5 nodes are asked.", files: 20}
	for i, above := range []int{orchestrator, 0, 1, 1, 0} {
		b.players = append(b.players, player{
			name: fmt.Sprintf("node %d", i+1), addr: fmt.Sprintf("grpcs://h:%d", i+1), above: above,
		})
	}

	return b
}

// frames are what terminals show of five players, after a change.
var frames = []struct {
	name   string
	change func(b *board)
	window window
	want   string
}{
	{"before the first message", func(b *board) {
		for i := range b.players {
			b.players[i].above = nobody
		}
	}, window80, `
5 nodes count the words of 20 files.
░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0 of 20 files, 0 words

· node 1
· node 2
· node 3
· node 4
· node 5

5 nodes are asked.
`},
	{"they count", count, window80, `
5 nodes count the words of 20 files.
████████████████████░░░░░░░░░░░░░░░░░░░░  10 of 20 files, 901 words

✓ node 1            400 words  ██████████  4/4 files
… ├── node 2        200 words  █████░░░░░  2/4 files
… │   ├── node 3       1 word  ██░░░░░░░░  1/4 files
· │   └── node 4      0 words  ░░░░░░░░░░  0/4 files
… └── node 5        300 words  ███████░░░  3/4 files

5 nodes are asked.
`},
	{"one is stopped", func(b *board) {
		count(b)
		b.stop(1)
		b.lose(2, 1)
		b.lose(3, 1)
		b.lose(4, 1) // It has node 1 above it.
		b.lose(4, nobody)
		b.regain(4, 1)
		b.lose(1, 0) // It is gone itself.
	}, window80, `
5 nodes count the words of 20 files.
████████████████████░░░░░░░░░░░░░░░░░░░░  10 of 20 files, 901 words

✓ node 1            400 words  ██████████  4/4 files
✗ ├── node 2        200 words  █████░░░░░  2/4 files  stopped
? │   ├── node 3       1 word  ██░░░░░░░░  1/4 files  has lost node 2
? │   └── node 4      0 words  ░░░░░░░░░░  0/4 files  has lost node 2
… └── node 5        300 words  ███████░░░  3/4 files

5 nodes are asked.
`},
	{"a connection is made again", func(b *board) {
		count(b)
		b.lose(2, 1)
		b.regain(2, 0) // That is another one.
		b.lose(4, 0)
		b.regain(4, 0)
	}, window80, `
5 nodes count the words of 20 files.
████████████████████░░░░░░░░░░░░░░░░░░░░  10 of 20 files, 901 words

✓ node 1            400 words  ██████████  4/4 files
… ├── node 2        200 words  █████░░░░░  2/4 files
? │   ├── node 3       1 word  ██░░░░░░░░  1/4 files  has lost node 2
· │   └── node 4      0 words  ░░░░░░░░░░  0/4 files
… └── node 5        300 words  ███████░░░  3/4 files

5 nodes are asked.
`},
	{"the others are adopted", func(b *board) {
		b.stop(1)
		b.adopt(1, 0, []int{2, 3})
	}, window80, `
5 nodes count the words of 20 files.
░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0 of 20 files, 0 words

· node 1
✓ ├── node 3  adopted by node 1
✓ ├── node 4  adopted by node 1
· └── node 5
✗ node 2      stopped

5 nodes are asked.
`},
	{"a narrow window", count, window{width: 30, height: 24}, `
5 nodes count the words of 20
10 of 20 files, 901 words

✓ node 1            400 words
… ├── node 2        200 words
… │   ├── node 3       1 word
· │   └── node 4      0 words
… └── node 5        300 words

5 nodes are asked.
`},
	{"a low window", count, window{width: 80, height: 10}, `
5 nodes count the words of 20 files.
████████████████████░░░░░░░░░░░░░░░░░░░░  10 of 20 files, 901 words

✓ node 1            400 words  ██████████  4/4 files
… ├── node 2        200 words  █████░░░░░  2/4 files
  and 3 more

5 nodes are asked.
`},
	{"with colours", func(b *board) {
		b.players = b.players[:2]
		count(b)
		b.stop(1)
	}, window{width: 80, height: 24, colours: true}, `
5 nodes count the words of 20 files.
████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░  6 of 20 files, 600 words

` + "\x1b[32m✓ \x1b[0mnode 1        400 words\x1b[32m  ██████████  4/4 files\x1b[0m\n" +
		"\x1b[31m✗ \x1b[0m\x1b[31m└── node 2\x1b[0m    200 words\x1b[31m  █████░░░░░  2/4 files\x1b[0m" +
		"\x1b[31m  stopped\x1b[0m\n" + `
5 nodes are asked.
`},
	{"what others say", func(b *board) {
		b.players = b.players[:1]
		b.players[0].note, b.news = "\x1b[2J", "a\nb"
	}, window80, `
5 nodes count the words of 20 files.
░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0 of 20 files, 0 words

· node 1  ` + "\uFFFD" + `[2J

a b
`},
}

func TestFrame(t *testing.T) {
	for _, c := range frames {
		t.Run(c.name, func(t *testing.T) {
			b := five()
			c.change(b)
			require.Equal(t, c.want, "\n"+strings.Join(b.frame(c.window), "\n")+"\n")
		})
	}
}

// count has the players count for a while.
func count(b *board) {
	for i, p := range []player{
		{state: replied, files: 4, words: 400}, {state: counting, files: 2, words: 200},
		{state: counting, files: 1, words: 1}, {}, {state: counting, files: 3, words: 300},
	}[:len(b.players)] {
		b.players[i].state, b.players[i].files, b.players[i].share, b.players[i].words = p.state, p.files, 4, p.words
	}
}

// A frame that is larger than its window could not be drawn over.
func TestFrame_FitsIntoItsWindow(t *testing.T) {
	b := five()
	count(b)
	b.news = strings.Repeat("news ", 50)
	b.players[4].note = strings.Repeat("note ", 50)

	for width := 1; width < 120; width++ {
		for height := besides + 1; height < 30; height++ {
			lines := b.frame(window{width: width, height: height})
			require.Less(t, len(lines), height, "the cursor is below")

			for _, line := range lines {
				require.Less(t, utf8.RuneCountInString(line), width)
			}
		}
	}
}

func TestTable(t *testing.T) {
	b := five()
	count(b)
	b.stop(1)
	b.adopt(1, 0, []int{2, 3})

	for i := range b.players {
		b.players[i].outcome = "delivered"
	}

	b.players[1].outcome = "unreachable"

	require.Equal(t, `
  NODE        ADDRESS                    OUTCOME       FILES    WORDS
  node 1      grpcs://h:1                delivered         4      400
  ├── node 3  grpcs://h:3                delivered         1        1
  ├── node 4  grpcs://h:4                delivered         0        0
  └── node 5  grpcs://h:5                delivered         3      300
  ✗ node 2    grpcs://h:2                unreachable
    grpcs://h:1 says: refused

`, b.table(map[string]string{"grpcs://h:2": "grpcs://h:1 says: refused"}))
}

func TestMiddle(t *testing.T) {
	for _, c := range []struct {
		name  string
		above []int
		want  int
	}{
		{"the one that most hang on", []int{orchestrator, 0, 1, 0, 3, 3}, 3},
		{"the first of several", []int{orchestrator, 0, 1, 0, 3}, 1},
		{"no middle", []int{orchestrator, 0, 0}, 2},
		{"nobody but the root", []int{orchestrator, 0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &board{}
			for _, above := range c.above {
				b.players = append(b.players, player{above: above})
			}

			require.Equal(t, c.want, b.middle())
		})
	}
}

func TestList(t *testing.T) {
	for want, names := range map[string][]string{
		"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"},
	} {
		require.Equal(t, want, list(names))
	}
}

// The shares of a request are all of its files, and nobody takes longer than it should.
func TestAsk_SharesAreAllFiles(t *testing.T) {
	for _, files := range []int{0, 1, 4, 5, 6, 23} {
		b := five()
		b.ask([]int{0, 1, 2, 3, 4}, files, 1000)

		sum := 0
		for _, p := range b.players {
			sum += p.share
			require.LessOrEqual(t, int(p.pace)*p.share, 1000)
		}

		require.Equal(t, files, sum)
	}
}
