package integrity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

func (c *checker) checkComponentManifests() error {
	return c.checkClaims(CheckComponentManifests, c.in.ComponentManifests, func(hash string, sum Sum) (string, bool, error) {
		want, err := sha256Of(hash, false)
		return "SHA-256 " + sum.SHA256, want == sum.SHA256, err
	})
}

func (c *checker) checkLegacyManifest() error {
	return c.checkClaims(CheckLegacyManifest, c.in.Legacy, func(hash string, sum Sum) (string, bool, error) {
		if !isHash(hash) {
			return "", false, faultf(RuleSyntax, "has the hash %s, which is not 64 hexadecimal digits", hostile.Quote(hash))
		}
		return "BLAKE3 " + sum.BLAKE3, strings.EqualFold(hash, sum.BLAKE3), nil
	})
}

// checkClaims compares files with what the manifest says about them. compare
// gives the true hash and whether it is the claimed one.
func (c *checker) checkClaims(name string, claims []Claim, compare func(string, Sum) (string, bool, error)) error {
	if len(claims) == 0 {
		return nil
	}
	return c.check(name, "", func() (string, error) {
		right := 0
		for _, claim := range claims {
			about := "the manifest"
			if claim.Component != "" {
				about += ", for the component " + hostile.Quote(claim.Component) + ","
			}
			if !c.there[claim.Entry] {
				c.fail(RuleAbsent, claim.Entry, hintRebuild, "%s names it, but the pack does not have it", about)
				continue
			}
			if claim.Hash == "" {
				c.problem(plan.Info, RuleUnchecked, claim.Entry, "", "%s gives no hash of it", about)
				continue
			}
			sum, err := c.in.Files.Sum(claim.Entry)
			if err != nil {
				return "", err
			}
			is, match, err := compare(claim.Hash, sum)
			f, faulty := errors.AsType[*fault](err)
			switch {
			case faulty:
				c.fail(f.rule, claim.Entry, hintRebuild, "%s %s", about, f.text)
			case !match:
				c.fail(RuleHash, claim.Entry, hintRebuild, "has the %s; %s says %s", is, about, hostile.Quote(claim.Hash))
			default:
				right++
			}
		}
		return plural(right, len(claims), "file"), nil
	})
}

// plural is the detail of a check: how many of how many are right.
func plural(right, all int, noun string) string {
	if all != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d of %d %s as stated", right, all, noun)
}
