package minogrpc

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// rememberedHosts is how many hosts each kind of bucket is kept for. One of them
	// takes some 200 bytes.
	rememberedHosts = 10_000

	// candidates is how many of them are looked at when one has to be forgotten.
	candidates = 16
)

// rates bound how often the remote hosts may do what a node does for strangers too.
// Where only failures count, whoever succeeds takes nothing from the others behind
// the same address. The errors have a status. All methods may be called from several
// goroutines at once.
type rates struct {
	handshakes    *buckets
	tokens        *buckets
	introductions *buckets

	// allTokens is for the wrong tokens of all the hosts together: many of them might
	// share the work of guessing.
	allTokens *rate.Limiter
}

func newRates(l limits) *rates {
	return &rates{
		handshakes:    newBuckets(l.handshakeFailures),
		tokens:        newBuckets(l.wrongTokens),
		introductions: newBuckets(l.introductions),
		allTokens:     newLimiter(l.allWrongTokens),
	}
}

// admits returns an error when too many handshakes of the host have failed. Those of
// a plain node cannot: nil rates admit everybody.
func (r *rates) admits(host string) error {
	if r == nil {
		return nil
	}

	return tooMany("failed handshakes", r.handshakes.wait(host))
}

// handshakeFailed counts a handshake of the host that has failed.
func (r *rates) handshakeFailed(host string) {
	r.handshakes.charge(host)
}

// mayTryToken returns an error when too many tokens have been wrong. It comes before
// the token is looked at: who is refused does not learn whether it is right, and has
// not used it.
func (r *rates) mayTryToken(host string) error {
	if err := tooMany("wrong tokens", r.tokens.wait(host)); err != nil {
		return err
	}

	return tooMany("wrong tokens from all hosts", waitFor(r.allTokens, time.Now()))
}

// tokenWrong counts a token of the host that was wrong.
func (r *rates) tokenWrong(host string) {
	// What a host has tried at once, before the first was counted, is on its own
	// account: or it would use up what is for all of them.
	if r.tokens.charge(host) {
		r.allTokens.Allow()
	}
}

// mayIntroduce counts a certificate that the host brings, its own or another's, or
// returns an error when there have been too many.
func (r *rates) mayIntroduce(host string) error {
	return tooMany("joins and shares", r.introductions.take(host))
}

// tooMany returns an error for those who have to wait.
func tooMany(what string, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}

	// To the next second, so that it is never too early.
	seconds := (wait + time.Second - 1).Truncate(time.Second)

	return status.Errorf(codes.ResourceExhausted, "too many %s: try again in about %v", what, seconds)
}

// buckets hold tokens for the remote hosts, in a bucket for each.
type buckets struct {
	perMinute int

	mu sync.Mutex
	// hosts are those whose bucket may not be full, and at most rememberedHosts. There
	// is no timer that drops the full ones: that happens when the room is needed.
	hosts map[string]*rate.Limiter
}

func newBuckets(perMinute int) *buckets {
	return &buckets{perMinute: perMinute, hosts: make(map[string]*rate.Limiter)}
}

// wait returns how long the host has to wait for a token, and takes none.
func (b *buckets) wait(host string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()

	limiter := b.hosts[host]
	if limiter == nil {
		return 0
	}

	return waitFor(limiter, time.Now())
}

// take takes a token if there is one, and else returns how long the host has to wait.
func (b *buckets) take(host string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	limiter := b.limiterLocked(host, now)

	wait := waitFor(limiter, now)
	if wait <= 0 {
		limiter.ReserveN(now, 1)
	}

	return wait
}

// charge takes a token, and tells whether there was one. If not, the host has to wait
// for it all the same: else it could do as much as it likes at once, whenever it gets
// a single one.
func (b *buckets) charge(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	now := time.Now()
	limiter := b.limiterLocked(host, now)
	paid := waitFor(limiter, now) <= 0

	limiter.ReserveN(now, 1)

	return paid
}

// limiterLocked returns the bucket of the host, which it makes where there is none.
func (b *buckets) limiterLocked(host string, now time.Time) *rate.Limiter {
	limiter := b.hosts[host]
	if limiter == nil {
		b.makeRoomLocked(now)

		limiter = newLimiter(b.perMinute)
		b.hosts[host] = limiter
	}

	return limiter
}

// makeRoomLocked forgets some buckets, if there is no room for one more: of a few that
// chance picks those that are full, or else the fullest. So nobody who owes a lot is
// forgotten, however many hosts are made to come after, and to find one costs little.
func (b *buckets) makeRoomLocked(now time.Time) {
	if len(b.hosts) < rememberedHosts {
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

	if len(b.hosts) >= rememberedHosts {
		delete(b.hosts, fullest)
	}
}

// newLimiter returns a bucket with the tokens of a minute, which are also what comes
// in within one.
func newLimiter(perMinute int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perMinute)/60, perMinute)
}

// waitFor returns how long it takes until there is a token.
func waitFor(limiter *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return 0
	}

	return time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
}
