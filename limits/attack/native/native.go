// Package native makes the attacks that limits/attack lists, from inside the
// process that calls it: with raw system calls, as code that took a worker over
// would. It is for a worker that is there to be attacked (a probe), and for tests.
//
// An attack needs no file and nothing of /proc, so that it can be made behind every
// wall. One that succeeds is harmless: what it got it gives back at once, a process
// that it made ends at once, and calls are made with arguments that ask for nothing
// where the kernel would otherwise do something. The exception is for a process
// that has nothing to lose: an identity, a limit or a filter is not given back.
//
// A call goes to the kernel on whatever thread the goroutine is. Identity and
// capabilities belong to a thread, so that a success changes one thread only.
package native
