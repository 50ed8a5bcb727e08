// Package scenario reads the files of testdata/scenarios: small stories of a tree
// of nodes, of what is sent in it, of what goes wrong and of what comes of it. The
// README there describes the language.
//
// [Parse] checks everything that can be checked without running the scenario, so
// that a typing error is an error with a line, and never a check that passes
// because it names nobody. The tests of the package run the files, on real nodes
// in a network in memory and in virtual time.
package scenario
