package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	// DefaultMaxTokens is how many tokens may count at once. Each takes
	// about a hundred bytes.
	DefaultMaxTokens = 10_000

	// maxTokenSize is how many bytes of what a stranger presents are worth a look.
	// The tokens themselves have 26.
	maxTokenSize = 64
)

// Option changes a default of [NewInMemoryHolder].
type Option interface {
	apply(*InMemoryHolder)
}

type optionFunc func(*InMemoryHolder)

func (f optionFunc) apply(h *InMemoryHolder) { f(h) }

// WithUses bounds how many nodes each token lets in. It must be positive; anything
// else is ignored. By default there is no such bound: as in existing networks, a token
// lets in any number of nodes until it expires.
func WithUses(n int) Option {
	return optionFunc(func(h *InMemoryHolder) {
		if n > 0 {
			h.uses = n
		}
	})
}

// WithMaxTokens bounds the number of tokens that are neither used up nor expired.
// It must be positive; anything else is ignored. The default is [DefaultMaxTokens].
func WithMaxTokens(n int) Option {
	return optionFunc(func(h *InMemoryHolder) {
		if n > 0 {
			h.limit = n
		}
	})
}

// InMemoryHolder is a [Holder] that forgets everything when the process ends. Its
// methods may be used from several goroutines at once.
type InMemoryHolder struct {
	// uses is how many nodes a token lets in, and zero for any number. It and limit do
	// not change.
	uses, limit int

	mu sync.Mutex
	// grants is keyed by the digest of the token. Looking it up may take longer the
	// more of a digest is right, but nobody can present a digest: of one that is
	// better than another there is nothing to learn about the token itself.
	grants map[[sha256.Size]byte]grant
	// generated counts the grants that there have been.
	generated uint64
}

// grant is what a token is good for.
type grant struct {
	expires time.Time
	uses    int    // those that are left, zero for any number
	serial  uint64 // the smaller one is the older one
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

// Generate implements [Holder]. The token has 26 letters and digits, which nobody
// has to quote in a shell or escape in a URL. When there are too many tokens, the
// oldest stops to count, whenever it was to expire. It takes time in proportion to
// the number of tokens; those that have expired are forgotten here.
func (h *InMemoryHolder) Generate(expiration time.Duration) string {
	token := rand.Text() // at least 128 bits, whatever its length
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

// expiredAt tells whether the token has stopped to count.
func (g grant) expiredAt(now time.Time) bool {
	return !now.Before(g.expires)
}
