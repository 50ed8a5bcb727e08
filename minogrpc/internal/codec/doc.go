// Package codec reads and writes the packets of the overlay service within bounds.
//
// The bytes are those that gRPC would read and write. But the codec refuses a packet of more
// items than a session sends, before it spends memory on them: an item of two bytes on the wire
// takes dozens of times as much once it is decoded. The refusal has the status InvalidArgument.
//
// A packet that it has read shares no memory with the data, nor does one part of it with another.
// A packet that it has written belongs to gRPC from then on.
package codec
