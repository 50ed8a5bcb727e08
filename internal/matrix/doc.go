// Package matrix has only tests. They put nodes of this library into one network with
// existing ones, over TCP on loopback, and expect of the mixture what is promised of it.
//
// A case says of which kind the orchestrator, the root, the interior nodes and the leaves are,
// where the node of the orchestrator is in the tree, how many players there are, how high
// the tree may be, and whether there is TLS. By default every pair of two such choices is in
// one of the cases. With -all, as in `make matrix`, every case is played.
//
// The existing nodes are models: see internal/existing.
package matrix
