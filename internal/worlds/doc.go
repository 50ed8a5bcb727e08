// Package worlds has only tests. They see the library from outside, and need more than one
// session, or a session with neighbours that the test plays.
//
// A world is a network in memory, in a bubble of virtual time. A test puts real sessions into
// it. It plays their neighbours call by call, as a Peer of sessiontest does, or frame by frame,
// as the type neighbour does.
package worlds
