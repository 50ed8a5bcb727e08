package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	// DefaultMaxTokens is how many tokens may be valid at once. Each takes about 100 bytes.
	DefaultMaxTokens = 10_000

	// maxTokenSize is the size of the longest text that Verify looks at, in bytes. A token has 26.
	maxTokenSize = 64
)

// Option changes a default of [NewInMemoryHolder].
type Option interface {
	apply(*InMemoryHolder)
}

type optionFunc func(*InMemoryHolder)

func (f optionFunc) apply(h *InMemoryHolder) { f(h) }

// WithUses bounds how many nodes each token lets in. A number that is not positive is ignored. By default
// a token lets in any number of nodes until it expires, as in existing networks.
func WithUses(n int) Option {
	return optionFunc(func(h *InMemoryHolder) {
		if n > 0 {
			h.uses = n
		}
	})
}

// WithMaxTokens bounds the number of tokens that are neither used up nor expired. A number that is not
// positive is ignored. The default is [DefaultMaxTokens].
func WithMaxTokens(n int) Option {
	return optionFunc(func(h *InMemoryHolder) {
		if n > 0 {
			h.limit = n
		}
	})
}

// InMemoryHolder is a [Holder] that forgets everything when the process ends. Its methods may be used
// from several goroutines at once.
type InMemoryHolder struct {
	// uses is how many nodes a token lets in; zero is any number. Neither uses nor limit changes.
	uses, limit int

	mu sync.Mutex
	// grants is keyed by the digest of the token. A look-up may take longer if more of the digest is
	// right. But a stranger presents a token, and a digest says nothing about similar tokens.
	grants map[[sha256.Size]byte]grant
	// generated counts all grants so far.
	generated uint64
}

// grant is what a token allows.
type grant struct {
	expires time.Time
	uses    int    // how many are left; zero is any number
	serial  uint64 // grows with each grant
}

// NewInMemoryHolder returns a holder without tokens.
func NewInMemoryHolder(opts ...Option) *InMemoryHolder {
	h := &InMemoryHolder{
		limit:  DefaultMaxTokens,
		grants: make(map[[sha256.Size]byte]grant),
	}

	for _, opt := range opts {
		opt.apply(h)
	}

	return h
}

// Generate implements [Holder]. The token has 26 letters and digits, which need no quotes in a shell and
// no escape in a URL. If there are too many tokens, the oldest one becomes invalid, even before it
// expires. Generate takes time in proportion to the number of tokens, because it forgets the expired
// ones.
func (h *InMemoryHolder) Generate(expiration time.Duration) string {
	token := rand.Text() // at least 128 bits
	now := time.Now()

	h.mu.Lock()
	defer h.mu.Unlock()

	maps.DeleteFunc(h.grants, func(_ [sha256.Size]byte, g grant) bool { return g.expiredAt(now) })

	fresh := grant{expires: now.Add(expiration), uses: h.uses, serial: h.generated}
	if fresh.expiredAt(now) {
		return token
	}

	if len(h.grants) >= h.limit {
		h.dropOldestLocked()
	}

	h.grants[sha256.Sum256([]byte(token))] = fresh
	h.generated++

	return token
}

// dropOldestLocked forgets the token that was generated first.
func (h *InMemoryHolder) dropOldestLocked() {
	var oldest [sha256.Size]byte

	serial := h.generated

	for digest, g := range h.grants {
		if g.serial < serial {
			oldest, serial = digest, g.serial
		}
	}

	delete(h.grants, oldest)
}

// Verify implements [Holder].
func (h *InMemoryHolder) Verify(token string) bool {
	if len(token) > maxTokenSize {
		return false
	}

	digest := sha256.Sum256([]byte(token))
	now := time.Now()

	h.mu.Lock()
	defer h.mu.Unlock()

	found, ok := h.grants[digest]
	if !ok {
		return false
	}

	if found.expiredAt(now) {
		delete(h.grants, digest)

		return false
	}

	switch found.uses {
	case 0: // It has no bound.
	case 1:
		delete(h.grants, digest)
	default:
		found.uses--
		h.grants[digest] = found
	}

	return true
}

// expiredAt tells whether the token has expired.
func (g grant) expiredAt(now time.Time) bool {
	return !now.Before(g.expires)
}
