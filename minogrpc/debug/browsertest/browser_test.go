package browsertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// patience bounds a test. A browser on a busy machine needs some seconds to start.
const patience = 2 * time.Minute

// program returns the path of the browser.
func program() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if named := os.Getenv("BROWSER"); named != "" {
		names = []string{named}
	}

	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
	}

	return "", errors.New("there is none of " + strings.Join(names, ", "))
}

// tab is a page in a browser.
type tab struct {
	context.Context

	t *testing.T

	mu sync.Mutex
	// complaints are the errors of scripts, and what the browser has refused.
	complaints []string
}

// opens starts a browser with one page. The browser ends with the test.
func opens(t *testing.T, width, height int) *tab {
	t.Helper()

	path, err := program()
	require.NoError(t, err)

	// The context of the test would end the browser before the test has.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)

	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // a container seldom lets it have one
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WindowSize(width, height),
	)...)
	t.Cleanup(cancel)

	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)

	tb := &tab{Context: ctx, t: t}
	require.NoError(t, chromedp.Listen(ctx, tb.hear))

	return tb
}

// hear notes what the browser complains of.
func (tb *tab) hear(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()

	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tb.complaints = append(tb.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		// Browsers ask every site for an icon.
		if !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
			tb.complaints = append(tb.complaints, e.Entry.Text)
		}
	}
}

// does runs actions in the page.
func (tb *tab) does(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	require.NoError(tb.t, chromedp.Do(tb, actions...))
}

// runs runs a script in the page.
func (tb *tab) runs(script string) {
	tb.t.Helper()
	tb.does(chromedp.Evaluate[chromedp.Void](script))
}

// awaits waits until an expression of JavaScript is true on the page.
func (tb *tab) awaits(expression string) {
	tb.t.Helper()

	// The policy of the page forbids what chromedp.Poll does: it makes code of a text.
	text, err := chromedp.Run(tb, chromedp.Evaluate[string](`new Promise((done) => {
		setTimeout(() => done("in vain: " + document.body.innerText), 45000);
		const look = () => (`+expression+`) ? done("") : setTimeout(look, 50);
		look();
	})`, chromedp.EvalAwaitPromise))
	require.NoError(tb.t, err, expression)
	require.Empty(tb.t, text, expression)
}

// reads returns the text that an expression of JavaScript has on the page.
func (tb *tab) reads(expression string) string {
	tb.t.Helper()

	text, err := chromedp.Run(tb, chromedp.Evaluate[string](expression))
	require.NoError(tb.t, err, expression)

	return text
}

// pictures writes a picture of the page to a file. Without a name it does nothing.
func (tb *tab) pictures(file string) {
	tb.t.Helper()

	if file == "" {
		return
	}

	picture, err := chromedp.Run(tb, chromedp.CaptureScreenshot())
	require.NoError(tb.t, err)
	require.NoError(tb.t, os.WriteFile(file, picture, 0o600))
}

// isPleased fails the test if a script has failed, or if the browser has refused something.
func (tb *tab) isPleased() {
	tb.t.Helper()

	tb.mu.Lock()
	defer tb.mu.Unlock()

	require.Empty(tb.t, tb.complaints)
}
