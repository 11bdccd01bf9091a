//go:build !linux

package leakcheck

// Only Linux tells a process what it holds open; elsewhere goroutines alone are
// checked.
func openFiles() (map[string]string, error) { return nil, nil }

func children() []string { return nil }

func (f *Footprint) ask() error { return nil }
