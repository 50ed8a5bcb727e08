//go:build race

package minogrpc_test

// largestMessage is small where the race detector looks at each byte of it: 64 MiB
// would take half a minute.
const largestMessage = 8 << 20
