package minogrpc

import (
	"time"

	"github.com/minogrpc/session/minogrpc/internal/gate"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rates bound how often the remote hosts may do what a node does for strangers too.
// Where only failures count, whoever succeeds takes nothing from the others behind
// the same address. The errors have a status. All methods may be called from several
// goroutines at once.
type rates struct {
	handshakes    *gate.Buckets
	tokens        *gate.Buckets
	introductions *gate.Buckets

	// allTokens is for the wrong tokens of all the hosts together: many of them might
	// share the work of guessing.
	allTokens *rate.Limiter
}

func newRates(l limits) *rates {
	return &rates{
		handshakes:    perMinute(l.handshakeFailures),
		tokens:        perMinute(l.wrongTokens),
		introductions: perMinute(l.introductions),
		allTokens:     gate.NewLimiter(float64(l.allWrongTokens)/60, l.allWrongTokens),
	}
}

// perMinute returns buckets with the tokens of a minute, which are also what comes in within one.
func perMinute(n int) *gate.Buckets {
	return gate.NewBuckets(float64(n)/60, n)
}

// admits returns an error when too many handshakes of the host have failed. Those of
// a plain node cannot: nil rates admit everybody.
func (r *rates) admits(host string) error {
	if r == nil {
		return nil
	}

	return tooMany("failed handshakes", r.handshakes.Wait(host))
}

// handshakeFailed counts a handshake of the host that has failed.
func (r *rates) handshakeFailed(host string) {
	r.handshakes.Charge(host)
}

// mayTryToken returns an error when too many tokens have been wrong. It comes before
// the token is looked at: who is refused does not learn whether it is right, and has
// not used it.
func (r *rates) mayTryToken(host string) error {
	if err := tooMany("wrong tokens", r.tokens.Wait(host)); err != nil {
		return err
	}

	return tooMany("wrong tokens from all hosts", gate.WaitFor(r.allTokens, time.Now()))
}

// tokenWrong counts a token of the host that was wrong.
func (r *rates) tokenWrong(host string) {
	// What a host has tried at once, before the first was counted, is on its own
	// account: or it would use up what is for all of them.
	if r.tokens.Charge(host) {
		r.allTokens.Allow()
	}
}

// mayIntroduce counts a certificate that the host brings, its own or another's, or
// returns an error when there have been too many.
func (r *rates) mayIntroduce(host string) error {
	return tooMany("joins and shares", r.introductions.Take(host))
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
