// Package attacks has only tests. Each floods a node, the victim, that is a process of its own with
// default options, while an honest node in another process sends messages to it.
//
// A test bounds by how much the victim grows over the quiet process, after a collection, and how much
// of the processor it takes. It checks that the honest stream loses nothing and is hardly slower, and
// that the victim is soon what it was. A flood lasts for a moment, and several tests run side by side.
// The flag -flood makes that longer, as `make attacks` does, and the tests run one after the other.
package attacks
