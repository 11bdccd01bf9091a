// Package guests is the corpus of hostile guests as files: one behaviour each, as
// WebAssembly text under a header, and the list of the engine's advisories.
// internal/guests reads it.
package guests

import "embed"

// Files has every .wat file and advisories.json in its root.
//
//go:embed *.wat advisories.json
var Files embed.FS
