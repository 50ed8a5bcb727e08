package gate

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// RememberedHosts is how many hosts the buckets of one kind are kept for. One bucket takes
	// some 200 bytes.
	RememberedHosts = 10_000

	// candidates is how many of them are looked at when one has to be forgotten.
	candidates = 16
)

// Buckets hold tokens for the remote hosts, in a bucket for each.
type Buckets struct {
	perSecond float64
	burst     int

	mu sync.Mutex
	// hosts are those whose bucket may not be full, and at most RememberedHosts. There
	// is no timer that drops the full ones: that happens when the room is needed.
	hosts map[string]*rate.Limiter
}

// NewBuckets returns buckets that hold as many tokens as the burst, which are full at first. So many
// tokens come in each second.
func NewBuckets(perSecond float64, burst int) *Buckets {
	return &Buckets{perSecond: perSecond, burst: burst, hosts: make(map[string]*rate.Limiter)}
}

// Len returns the number of hosts that are remembered.
func (b *Buckets) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()

	return len(b.hosts)
}

// Wait returns how long the host has to wait for a token, and takes none.
func (b *Buckets) Wait(host string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()

	limiter := b.hosts[host]
	if limiter == nil {
		return 0
	}

	return WaitFor(limiter, time.Now())
}

// Take takes a token if there is one, and else returns how long the host has to wait.
func (b *Buckets) Take(host string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	limiter := b.limiterLocked(host, now)

	wait := WaitFor(limiter, now)
	if wait <= 0 {
		limiter.ReserveN(now, 1)
	}

	return wait
}

// Charge takes a token, and tells whether there was one. If not, the host has to wait
// for it all the same: else it could do as much as it likes at once, whenever it gets
// a single one.
func (b *Buckets) Charge(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	limiter := b.limiterLocked(host, now)
	paid := WaitFor(limiter, now) <= 0

	limiter.ReserveN(now, 1)

	return paid
}

// limiterLocked returns the bucket of the host, which it makes where there is none.
func (b *Buckets) limiterLocked(host string, now time.Time) *rate.Limiter {
	limiter := b.hosts[host]
	if limiter == nil {
		b.makeRoomLocked(now)

		limiter = NewLimiter(b.perSecond, b.burst)
		b.hosts[host] = limiter
	}

	return limiter
}

// makeRoomLocked forgets some buckets, if there is no room for one more: of a few that
// chance picks those that are full, or else the fullest. So nobody who owes a lot is
// forgotten, however many hosts are made to come after, and to find one costs little.
func (b *Buckets) makeRoomLocked(now time.Time) {
	if len(b.hosts) < RememberedHosts {
		return
	}

	fullest, most, picked := "", math.Inf(-1), 0

	for host, limiter := range b.hosts {
		tokens := limiter.TokensAt(now)

		switch {
		case tokens >= float64(limiter.Burst()):
			delete(b.hosts, host)
		case tokens > most:
			fullest, most = host, tokens
		}

		if picked++; picked == candidates {
			break
		}
	}

	if len(b.hosts) >= RememberedHosts {
		delete(b.hosts, fullest)
	}
}

// Spend takes n tokens, and returns how long the host has to wait until it has paid for them. It
// has to pay for what it takes beyond the burst as well. A host is heavy if it has used up more than
// half of the burst.
func (b *Buckets) Spend(host string, n int) (wait time.Duration, heavy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	limiter := b.limiterLocked(host, now)

	for ; n > 0; n -= b.burst {
		limiter.ReserveN(now, min(n, b.burst))
	}

	left := limiter.TokensAt(now)
	wait = max(0, time.Duration(-left/b.perSecond*float64(time.Second)))

	return wait, left < float64(b.burst)/2
}

// NewLimiter returns a bucket that holds as many tokens as the burst, and is full at first. So many
// tokens come in each second.
func NewLimiter(perSecond float64, burst int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// WaitFor returns how long it takes until there is a token.
func WaitFor(limiter *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}

	return time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
}
