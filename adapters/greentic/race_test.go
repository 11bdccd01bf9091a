//go:build race

package greentic

// largest is the size in bytes of the largest value that the suite tries. A byte is
// read and written as a number in JSON, which takes minutes with the race detector.
const largest = 64 << 10
