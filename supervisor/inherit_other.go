//go:build !linux

package supervisor

// dropInheritance has nothing to do where no worker can be started.
func dropInheritance() error { return nil }
