package matrix_test

import (
	"context"
	"strings"

	model "github.com/minogrpc/session/internal/existing"
)

// existingNode is a model of an existing node.
type existingNode struct {
	*model.Node

	names *names
}

func (w *network) startExisting(c nodeConfig) (node, error) {
	cfg := model.Config{Height: c.height, Bounces: c.bounces, Store: w.theirs}

	if c.tls {
		cert, err := model.NewCertificate("127.0.0.1")
		if err != nil {
			return nil, err
		}

		cfg.Certificate = cert
	}

	if c.patient {
		cfg.Setup = patience
	}

	n, err := model.Start(cfg)
	if err != nil {
		return nil, err
	}

	e := &existingNode{Node: n, names: &w.names}
	n.Handle(uri, model.Handler{
		Process: func(_ model.Address, question []byte) ([]byte, error) { return question, nil },
		Stream: func(s *model.Session) error {
			return w.serve(e.address(), existingStream{Session: s, names: &w.names})
		},
	})

	w.knows(e.address(), e.Chain())

	return e, nil
}

func (e *existingNode) kind() kind    { return existing }
func (e *existingNode) address() text { return text(e.Address()) }
func (e *existingNode) packets() int  { return e.Packets() }
func (e *existingNode) kill()         { e.Kill() }
func (e *existingNode) stop()         { e.Stop() }

func (e *existingNode) open(ctx context.Context, players []text) (stream, error) {
	s, err := e.Open(ctx, uri, modelAddresses(players)...)
	if err != nil {
		return nil, err
	}

	return existingStream{Session: s, names: e.names}, nil
}

func (e *existingNode) call(ctx context.Context, question string, to text) (string, error) {
	answer, err := e.Call(ctx, uri, []byte(question), model.Address(to))

	return string(answer), err
}

// existingStream is a part of an existing node.
type existingStream struct {
	*model.Session

	names *names
}

func (s existingStream) send(msg string, to ...text) []failure {
	texts := s.Send([]byte(msg), modelAddresses(to)...)
	failures := make([]failure, 0, len(texts))

	for _, words := range texts {
		failures = append(failures, failure{about: s.names.in(words), words: words})
	}

	return failures
}

func (s existingStream) recv(ctx context.Context) (text, string, error) {
	from, msg, err := s.Recv(ctx)

	return text(from), string(msg), err
}

func modelAddresses(texts []text) []model.Address {
	addrs := make([]model.Address, len(texts))
	for i, t := range texts {
		addrs[i] = model.Address(t)
	}

	return addrs
}

// names are the addresses of a network, by the form that error texts have.
type names struct{ all []text }

// in returns the first address that an error text names, or nothing.
func (n *names) in(words string) text {
	found, at := text(""), len(words)

	for _, name := range n.all {
		shown := model.Address(name).String()

		// The port ends where the digits do.
		i := strings.Index(words, shown)
		if i < 0 || i >= at || i+len(shown) < len(words) && isDigit(words[i+len(shown)]) {
			continue
		}

		found, at = name, i
	}

	return found
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
