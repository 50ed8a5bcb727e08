package debug

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minogrpc/session/minogrpc"
)

// Node is what a handler asks. [minogrpc.Minogrpc] is one.
type Node interface {
	// Snapshot may be called from several goroutines at once.
	Snapshot() minogrpc.Snapshot
}

// Page is what the handler serves as snapshot.json: the fields of a [minogrpc.Snapshot], which may also
// be read alone, and two more.
type Page struct {
	minogrpc.Snapshot

	// StandsOut are the [Findings] of the snapshot, and of what the nodes below have said.
	StandsOut []Finding `json:"stands_out"`

	// Trees are what the nodes below have said: see [WithDescendants].
	Trees []minogrpc.Descendants `json:"trees,omitempty"`
}

const (
	// maxReaders is how many snapshots are taken, or sent, at once. A node may have many streams, and
	// whoever reads them all costs it memory.
	maxReaders = 4

	// patience is how long a reader may take, so that four slow ones do not keep away the others.
	patience = 10 * time.Second
)

// files are what the page consists of.
//
//go:embed page
var files embed.FS

// file is one of them.
type file struct {
	kind string
	data []byte
}

// headers are those of each answer. The page runs no script and has no style but its own files, so a
// text that got into it as HTML would do nothing. Nobody else's page may frame it or read it.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"Cache-Control":                "no-store",
}

// server is the handler.
type server struct {
	node   Node
	config config
	files  map[string]file

	// readers has a token for each reader that is served.
	readers chan struct{}
}

// Handler returns a handler that serves the page of a node at its root, and the snapshot as
// snapshot.json beside it. The path of the page must end in a slash; see the documentation of the
// package for how to mount it elsewhere than at /. It answers GET and HEAD. It takes one snapshot for
// each request of one, and serves at most four of them at once: others get the status 503.
//
// By default it serves only requests to an IP address or to localhost. So no page of another site can
// read it by giving its own name the address of this machine (DNS rebinding). [WithHosts] adds names.
func Handler(node Node, opts ...Option) http.Handler {
	s := &server{
		node: node, config: newConfig(opts),
		files: make(map[string]file), readers: make(chan struct{}, maxReaders),
	}

	for path, f := range map[string]file{
		"":         {kind: "text/html", data: read("page.html")},
		"page.css": {kind: "text/css", data: read("page.css")},
		"page.js":  {kind: "text/javascript", data: read("page.js")},
		"tree.js":  {kind: "text/javascript", data: read("tree.js")},
	} {
		s.files[path] = file{kind: f.kind + "; charset=utf-8", data: f.data}
	}

	return s
}

// read returns an embedded file.
func read(name string) []byte {
	data, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // the compiler has embedded it
	}

	return data
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}

	if !s.config.serves(r.Host) {
		http.Error(w, "this host name is not served: see debug.WithHosts", http.StatusMisdirectedRequest)

		return
	}

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)

		return
	}

	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == "snapshot.json" {
		s.serveSnapshot(w, r)

		return
	}

	f, ok := s.files[path]
	if !ok {
		http.Error(w, "there is no such page", http.StatusNotFound)

		return
	}

	send(w, r, f)
}

// serveSnapshot takes a snapshot and sends it.
func (s *server) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many readers", http.StatusServiceUnavailable)

		return
	}

	// It escapes what HTML would not take for text.
	data, err := json.Marshal(s.page(r.Context()))
	if err != nil {
		http.Error(w, "the snapshot has no form in JSON", http.StatusInternalServerError)

		return
	}

	deadline := http.NewResponseController(w)

	err = deadline.SetWriteDeadline(time.Now().Add(patience))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return // the connection has ended
	}

	send(w, r, file{kind: "application/json", data: data})

	// The reader has it when the place of the reader becomes free.
	_ = deadline.Flush()
	_ = deadline.SetWriteDeadline(time.Time{}) // or it has ended, or nothing was set
}

// send answers with a file. A reader that goes away misses it.
func send(w http.ResponseWriter, r *http.Request, f file) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.data)))

	if r.Method != http.MethodHead {
		_, _ = w.Write(f.data)
	}
}
