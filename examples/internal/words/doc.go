// Package words is a job for the nodes of an overlay: to count the words of a folder
// together. The examples share it.
//
// An [Orchestrator] has a stream to the players, on each of which a [Worker] runs. It
// broadcasts the list of the files, every player counts its share and replies, and what
// is left because a player was not reached, the others count. So the sum is that of all
// the files as long as anybody is there.
package words
