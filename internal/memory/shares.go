package memory

import "sync"

// Shares are the parts that peers may take of a budget, each the same. A part belongs to the name
// of a peer, and is there as long as somebody uses it or it holds something: a peer gets no second
// one because it has come again. A nil Shares gives no budgets, which have no limit.
type Shares struct {
	whole *Budget
	limit int

	mu    sync.Mutex
	parts map[string]*part
	// sweep is the number of parts at which those are dropped that nobody needs any more.
	sweep int
}

type part struct {
	*Budget

	users int
}

// minSweep is how many parts may be there before any are looked at.
const minSweep = 64

// NewShares returns the shares of a budget, of which each peer may take that many bytes.
func NewShares(whole *Budget, limit int) *Shares {
	return &Shares{whole: whole, limit: limit, parts: make(map[string]*part), sweep: minSweep}
}

// Limit returns what each peer may take, in bytes.
func (s *Shares) Limit() int {
	return s.limit
}

// Join returns the part of a peer. Leave follows, when nothing is reserved any more but what the
// caller knows of otherwise.
func (s *Shares) Join(name string) *Budget {
	if s == nil {
		return nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	p := s.parts[name]
	if p == nil {
		s.sweepLocked()

		p = &part{Budget: s.whole.Part(s.limit)}
		s.parts[name] = p
	}

	p.users++

	return p.Budget
}

// Leave ends a use of the part of a peer.
func (s *Shares) Leave(name string) {
	if s == nil {
		return
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	p := s.parts[name]
	if p == nil {
		return // A name may be the text of an address that is not ours, which may change.
	}

	p.users--

	if p.isIdle() {
		delete(s.parts, name)
	}
}

// Len returns the number of parts.
func (s *Shares) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.parts)
}

// sweepLocked drops the parts that held something when their last user left, and hold nothing now.
func (s *Shares) sweepLocked() {
	if len(s.parts) < s.sweep {
		return
	}

	for name, p := range s.parts {
		if p.isIdle() {
			delete(s.parts, name)
		}
	}

	s.sweep = max(minSweep, 2*len(s.parts))
}

func (p *part) isIdle() bool {
	return p.users == 0 && p.Used() == 0
}
