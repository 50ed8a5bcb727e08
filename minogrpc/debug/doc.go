// Package debug shows what a node knows about itself: as JSON, and on a page for a browser.
//
//	mux := http.NewServeMux()
//	mux.Handle("/debug/session/", http.StripPrefix("/debug/session/", debug.Handler(node)))
//	err := http.ListenAndServe("127.0.0.1:6060", mux)
//
// Nothing is served unless the program mounts the handler. The handler only reads: nobody can change
// the node through it. But it tells the addresses of nodes, the names of procedures and the texts of
// errors to everybody who can reach it, so serve it on 127.0.0.1, or behind something that asks who
// the reader is.
//
// A node knows only its neighbours. The page of a node shows the node, its parents and its children
// in each stream. With [WithDescendants] it also asks the nodes below, and shows the whole tree of each stream, if they
// were started with [minogrpc.WithInspection]. Otherwise, to see the rest of a tree, open the pages of the other nodes.
//
// [Findings] is what the page lists first: the neighbours that are dead, slow or overloaded.
package debug
