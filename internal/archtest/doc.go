// Package archtest holds the rules of ARCHITECTURE.md that a compiler does not
// check, as tests: who may import whom and why, which packages stay pure, who
// may start processes, call C or end the program, and that every package says
// what it is.
package archtest
