//go:build !linux

package audit

import "time"

// Killed knows nothing: there is no such log.
func Killed(int, time.Time) (call string, ok bool) { return "", false }
