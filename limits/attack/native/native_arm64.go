//go:build linux

package native

// others would be the attacks that only this machine knows: there is one system-call
// interface and no older call. AArch32 programs are foreign to the filter, but a
// process cannot change over to it as it can to i386.
func others() map[string]act { return nil }
