package doctor

import "github.com/greentic-ai/greentic-provision/limits"

// Kind is one wall in plain words.
type Kind struct {
	Name  string `json:"name"`  // in a receipt
	About string `json:"about"` // what code behind it is, in a few words: "is nobody, for good"
	// Standard says that isolation standard needs it. Strict needs every wall that the
	// kernel could offer.
	Standard bool `json:"standard"`
}

// Kinds lists the walls in the order in which a worker raises them. Not all of them
// have a line in a receipt: "entry" is what every worker does before anything else.
func Kinds() []Kind {
	return []Kind{
		{"namespaces", "sees only itself, has no network", true},
		{"entry", "starts with nothing of ours open", true},
		{"mount", "sees an empty, read-only disk", true},
		{"identity", "is nobody, for good", true},
		{"capabilities", "has no right of an administrator", true},
		{"no-new-privs", "cannot gain rights", true},
		{"no-dump", "cannot be inspected or dumped", true},
		{"landlock", "may not open files or connections", false},
		{"rlimits", "has limited memory, time and files", true},
		{"cgroup", "has limited memory of every kind", false},
		{"seccomp-load", "opens and starts nothing", true},
		{"mdwe", "gets no new machine code", false},
		{"seccomp-run", "computes and answers, no more", true},
	}
}

// needs says whether isolation asks for a wall. What the kernel lacks is excused
// under strict; only who raises the wall knows whether it does.
func (k Kind) needs(i limits.Isolation) bool {
	switch i {
	case limits.Strict:
		return true
	case limits.Standard:
		return k.Standard
	}
	return false
}
