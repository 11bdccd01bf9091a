package worker

import "strings"

// lineCost is what a log line costs beside its text, so that a million empty
// lines are bounded too.
const lineCost = 16

// toValid makes hostile text valid UTF-8, which the wire demands.
func toValid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// bounded cuts s to maxDetail bytes and marks the cut: what looks for secrets in
// it must know that one may have been cut in half.
func bounded(s string) string {
	if len(s) <= maxDetail {
		return toValid(s)
	}
	return toValid(s[:maxDetail]) + "…" // half a rune becomes a replacement character
}
