// Package plugin reaches adapters that are programs of their own, and serves them.
//
// For the host, Open starts the program behind a plugin: URL, if it is the one whose
// checksum is configured, and gives adapters that talk to it. For authors, Serve is
// the whole main function. Between them is the protocol of adapter.proto, over
// hashicorp/go-plugin (gRPC with certificates that are made for each start).
//
// An operator trusts a plug-in with values and with what its user may do: it is not
// sandboxed, and one that leaves its process group outlives its host. What it cannot
// do is to be replaced unnoticed, to hold up, flood or crash its host, to write to its
// terminal, or to have a change acknowledged that it did not make. Whatever it does
// instead of answering is one error that names it.
//
//	hangs            CallTimeout or the caller's context ends the call
//	floods           at most adapters.MaxKeys keys, adapters.MaxTotal bytes, 2 MiB a
//	                 message; the rest is not read
//	crashes          the call fails and says how it ended; each later one at once
//	lies             Apply reads back what it wrote, and looks for it where nobody
//	                 wrote it
//	sends garbage    keys are checked, texts clipped and escaped
package plugin
