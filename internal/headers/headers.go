// Package headers measures metadata.
package headers

import "google.golang.org/grpc/metadata"

// perField is what HTTP/2 adds for each field when it compares a list of headers
// with the limit of the other side.
const perField = 32

// Size returns the size of the metadata in bytes, as HTTP/2 counts it.
func Size(md metadata.MD) int {
	size := 0

	for key, values := range md {
		for _, value := range values {
			size += len(key) + len(value) + perField
		}
	}

	return size
}
