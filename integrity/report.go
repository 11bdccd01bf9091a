package integrity

import (
	"fmt"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// MaxProblems is how many problems a report lists. The rest is counted.
const MaxProblems = 100

// Rule names the rule of the package comment that a problem is about.
type Rule string

// The rules. Those about one file first.
const (
	RuleDocument  Rule = "document bounds"    // more bytes or elements than are read
	RuleSyntax    Rule = "document syntax"    // not what its name says, or not of the known shape
	RuleNoSBOM    Rule = "no inventory"       // there is no SBOM, or an empty one
	RuleFormat    Rule = "inventory format"   // another format than greentic-sbom-v1
	RuleTwice     Rule = "listed twice"       // a path is in a list twice
	RuleAbsent    Rule = "listed but absent"  // a list names a file that the pack lacks
	RuleUnlisted  Rule = "not in inventory"   // the pack has a file that the SBOM lacks
	RuleHash      Rule = "hash"               // a file is not the one that was hashed
	RuleSize      Rule = "size"               // the hash is right and the size is not
	RuleAlgorithm Rule = "algorithm"          // a hash, key or signature of a kind that is not read
	RuleNoBinary  Rule = "no binary"          // a locked component that the pack has no file of
	RulePartial   Rule = "signature parts"    // a signature without certificates or the reverse
	RuleEnvelope  Rule = "signature envelope" // the document that holds the signature
	RuleDigest    Rule = "signature digest"   // something else was signed
	RuleSignature Rule = "signature"          // the signature does not fit digest and key
	RuleCoverage  Rule = "signature coverage" // there are files that are not signed
	RuleKey       Rule = "key fingerprint"    // the envelope names another key than the certificate
	RuleChain     Rule = "certificate"        // a certificate that cannot be read or is not signed by the next
	RuleDates     Rule = "validity dates"     // before or after the time a certificate or key is for
	RuleUnknown   Rule = "unknown key"        // valid, but by nobody that is trusted
	RuleUnchecked Rule = "not checked"        // something that this program cannot check
	RuleRequired  Rule = "signature required" // the policy asks for a trusted signature
)

// Problem is one thing that does not add up. All texts are safe to print: what
// comes out of the pack is escaped and cut.
type Problem struct {
	Entry    string        `json:"entry"` // path inside the pack; "" when it is about the pack as a whole
	Rule     Rule          `json:"rule"`
	Severity plan.Severity `json:"severity"`
	Detail   string        `json:"detail"`
	Hint     string        `json:"hint"` // what to do about it; may be empty
}

// The names of checks, in the order of a report.
const (
	CheckSBOM               = "sbom"
	CheckLock               = "lock"
	CheckComponentManifests = "component-manifests"
	CheckLegacyManifest     = "legacy-manifest"
	CheckArchiveSignature   = "archive-signature"
	CheckDirectorySignature = "directory-signature"
)

// Outcome is one check that was made. What a pack does not have is not checked.
type Outcome struct {
	Name   string `json:"name"`
	Entry  string `json:"entry"` // the document that was checked; "" for one that the caller decoded
	OK     bool   `json:"ok"`    // no problem of it is an error
	Detail string `json:"detail"`
}

// Status is what became of a signature.
type Status string

// The statuses.
const (
	Trusted   Status = "trusted"   // valid, by a key that the operator trusts
	Dev       Status = "dev"       // valid, by a certificate for development
	Unknown   Status = "unknown"   // by a key that nobody said to trust
	Invalid   Status = "invalid"   // see the problems
	Unchecked Status = "unchecked" // see the problems
)

// The schemes.
const (
	SchemeArchive   = "archive"
	SchemeDirectory = "directory"
)

// Signature describes the signature of a pack. Only Status says what it is worth:
// the rest is what the pack claims. Times are in RFC 3339.
type Signature struct {
	Scheme      string `json:"scheme"`
	Entry       string `json:"entry"`
	Status      Status `json:"status"`
	Valid       bool   `json:"valid"`                 // checked, with a key, and right in everything
	Key         string `json:"key,omitempty"`         // the name of the trusted key
	Fingerprint string `json:"fingerprint,omitempty"` // BLAKE3 of the public key in hexadecimal
	KeyID       string `json:"key_id,omitempty"`      // first 16 bytes of its SHA-256 in hexadecimal
	Subject     string `json:"subject,omitempty"`     // common name of the signer's certificate
	SignedAt    string `json:"signed_at,omitempty"`
	NotBefore   string `json:"not_before,omitempty"`
	NotAfter    string `json:"not_after,omitempty"`
}

// Report is what came out. Its JSON is stable: the same pack, policy and time
// give the same bytes.
type Report struct {
	Checks []Outcome `json:"checks"`
	// Problems are the errors, the warnings and the information, each in the
	// order of the checks, at most MaxProblems.
	Problems  []Problem  `json:"problems"`
	Omitted   int        `json:"omitted"` // problems beyond those
	Errors    int        `json:"errors"`  // problems of that severity, listed or not
	Warnings  int        `json:"warnings"`
	Signature *Signature `json:"signature"` // nil when the pack is not signed
}

// OK says that there are no errors.
func (r *Report) OK() bool { return r.Errors == 0 }

// list keeps the problems of one severity, and counts those beyond MaxProblems: an
// inventory can have 65,536 of them.
type list struct {
	problems []Problem
	count    int
}

func (l *list) add(p Problem) {
	if l.count++; l.count <= MaxProblems {
		l.problems = append(l.problems, p)
	}
}

// draft is a report in the making.
type draft struct {
	checks                 []Outcome
	errors, warnings, info list
	signature              *Signature
}

func (d *draft) problem(severity plan.Severity, rule Rule, entry, hint, format string, args ...any) {
	p := Problem{Entry: hostile.Escape(entry, maxEntry), Rule: rule, Severity: severity, Detail: fmt.Sprintf(format, args...), Hint: hint}
	switch severity {
	case plan.Error:
		d.errors.add(p)
	case plan.Warn:
		d.warnings.add(p)
	default:
		d.info.add(p)
	}
}

func (d *draft) fail(rule Rule, entry, hint, format string, args ...any) {
	d.problem(plan.Error, rule, entry, hint, format, args...)
}

// check makes one check and records its outcome. f gives the detail; an error is
// the machine's.
func (d *draft) check(name, entry string, f func() (string, error)) error {
	before := d.errors.count
	detail, err := f()
	if err != nil {
		return err
	}
	d.checks = append(d.checks, Outcome{Name: name, Entry: hostile.Escape(entry, maxEntry), OK: d.errors.count == before, Detail: detail})
	return nil
}

func (d *draft) report() *Report {
	r := &Report{
		Checks:    d.checks,
		Problems:  make([]Problem, 0, min(MaxProblems, d.errors.count+d.warnings.count+d.info.count)),
		Errors:    d.errors.count,
		Warnings:  d.warnings.count,
		Signature: d.signature,
	}
	if r.Checks == nil {
		r.Checks = []Outcome{}
	}
	for _, l := range []list{d.errors, d.warnings, d.info} {
		n := min(len(l.problems), MaxProblems-len(r.Problems))
		r.Problems = append(r.Problems, l.problems[:n]...)
		r.Omitted += l.count - n
	}
	return r
}

// maxEntry is what pack allows as the name of an entry, in bytes.
const maxEntry = 512
