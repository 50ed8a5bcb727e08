// Package gate bounds what a connection may cost before its peer is believed, and what headers
// may cost at any time.
//
// A gRPC server decodes the headers of a call before it asks anybody about the call. A few bytes
// on the wire become many in memory. So a [Conn] reads the frames of HTTP/2 as they pass, and
// counts headers before the server decodes them.
//
// A [Room] holds the connections of peers that nobody has believed yet. When it is full, the host
// with the most connections makes room. So one host cannot keep another one out.
//
// All types may be used from several goroutines at once, unless they say otherwise.
package gate
