// Package bench measures what isolation costs, side by side in one run: the same
// step in-process and in a warm sealed worker, a worker from spawn to Ready, and
// a whole run of the command line. `make bench` prints the numbers and ratios;
// nothing asserts a time, because machines are noisy.
package bench
