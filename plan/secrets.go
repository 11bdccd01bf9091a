package plan

import (
	"encoding/json"
	"strings"
)

// SecretValues gives the values in an object of answers (or of existing state)
// that are to be kept secret, in the order of the document:
//
//   - every string below the top-level member "secrets", if that is an object:
//     {"secrets": {"TOKEN": "…"}};
//   - every string of 4 bytes or more that is, or lies below, a member whose name
//     says so: it ends in "token", or contains "secret", "password", "passphrase",
//     "private_key", "api_key" or "credential", in any case and with - for _ or
//     neither.
//
// The second rule is a guess on the safe side: it also hides a "secret_name". A
// value that must be seen in a plan should not have such a name. doc must have
// come from ReadObject; null gives nothing.
func SecretValues(doc json.RawMessage) []string {
	if kind(doc) != "an object" {
		return nil
	}
	var values []string
	var walk func(v json.RawMessage, secret bool, least int)
	walk = func(v json.RawMessage, secret bool, least int) {
		// Errors cannot happen: doc was read, and no callback returns one.
		switch kind(v) {
		case "a string":
			if s := unquote(v); secret && len(s) >= least {
				values = append(values, s)
			}
		case "an array":
			_ = elements("", v, func(_ string, v json.RawMessage) error {
				walk(v, secret, least)
				return nil
			})
		case "an object":
			_ = members("", v, func(name, _ string, v json.RawMessage) error {
				walk(v, secret || soundsSecret(name), least)
				return nil
			})
		}
	}
	_ = members("", doc, func(name, _ string, v json.RawMessage) error {
		if name == "secrets" {
			if kind(v) == "an object" {
				walk(v, true, 1)
			}
			return nil
		}
		walk(v, soundsSecret(name), minScrub)
		return nil
	})
	return values
}

func soundsSecret(name string) bool {
	n := strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
	if strings.HasSuffix(n, "token") {
		return true
	}
	for _, word := range []string{"secret", "password", "passphrase", "privatekey", "apikey", "credential"} {
		if strings.Contains(n, word) {
			return true
		}
	}
	return false
}
