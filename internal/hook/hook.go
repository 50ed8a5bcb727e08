// Package hook joins the functions of two observers. A function that is nil costs nothing, also where the
// other one is not.
package hook

// Join1 returns a function that calls both, the first one first, or nil if there is none.
func Join1[A any](first, second func(A)) func(A) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return func(a A) {
			first(a)
			second(a)
		}
	}
}

// Join2 is Join1 for functions with two arguments.
func Join2[A, B any](first, second func(A, B)) func(A, B) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return func(a A, b B) {
			first(a, b)
			second(a, b)
		}
	}
}

// Join3 is Join1 for functions with three arguments.
func Join3[A, B, C any](first, second func(A, B, C)) func(A, B, C) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	default:
		return func(a A, b B, c C) {
			first(a, b, c)
			second(a, b, c)
		}
	}
}
