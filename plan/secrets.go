package plan

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// SecretValues gives the values in an object of answers (or of existing state)
// that are to be kept secret, in the order of the document: every string and
// number that is, or lies below, the top-level member "secrets" or a member
// whose name says so (soundsSecret); of a string that is JSON itself, the texts in it
// too (TextsWithin).
//
// The rule of names is a guess on the safe side: it also hides a "secret_name". A
// value that must be seen in a plan should not have such a name. doc must have
// come from ReadObject; null gives nothing.
func SecretValues(doc json.RawMessage) []string {
	if Kind(doc) != "an object" {
		return nil
	}
	var values []string
	// Errors cannot happen: doc was read, and no callback returns one.
	_ = members("", doc, func(name, _ string, v json.RawMessage) error {
		values = appendSecrets(values, v, name == "secrets" || soundsSecret(name))
		return nil
	})
	return values
}

// Values gives every string and number in a value that Read has let through, and the
// texts in strings that are JSON themselves (TextsWithin).
func Values(v json.RawMessage) []string { return appendSecrets(nil, v, true) }

// appendSecrets adds the values below v: all of them, or those below names that
// sound secret.
func appendSecrets(values []string, v json.RawMessage, all bool) []string {
	switch Kind(v) {
	case "a string":
		if s := unquote(v); all && s != "" {
			values = append(values, s)
			values = append(values, TextsWithin(s)...)
		}
	case "a number":
		if all {
			values = append(values, string(v))
			// As a guest prints it that reads every number as a float64: no exponent, and
			// zeros where long integers lose their digits.
			if f, err := strconv.ParseFloat(string(v), 64); err == nil {
				if s := strconv.FormatFloat(f, 'f', -1, 64); s != string(v) {
					values = append(values, s)
				}
			}
		}
	case "an array":
		_ = elements("", v, func(_ string, v json.RawMessage) error {
			values = appendSecrets(values, v, all)
			return nil
		})
	case "an object":
		_ = members("", v, func(name, _ string, v json.RawMessage) error {
			values = appendSecrets(values, v, all || soundsSecret(name))
			return nil
		})
	}
	return values
}

// minWithin is the length in bytes from which a text in a secret is a secret of its own.
// Shorter ones are "Bearer", "RS256", and words that plans are full of.
const minWithin = 8

// TextsWithin gives the texts that could be copied out of a secret that is JSON (a
// service account's key, a set of tokens): every string in it of at least 8 bytes, and
// those in strings that are JSON again. Names of members are none, and what is read of
// a text that is JSON only as far as some place counts up to there. The member scope
// (RFC 6749, 5.1) is left out, since it says what consent was asked for: that is what a
// plan with oauth_ops is reviewed for.
func TextsWithin(secret string) []string {
	if s := strings.TrimLeft(secret, " \t\r\n"); s == "" || !strings.Contains(`{["`, s[:1]) {
		return nil
	}
	var texts []string
	name := ""
	d := jsontext.NewDecoder(strings.NewReader(secret), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		in, n := d.StackIndex(d.StackDepth())
		t, err := d.ReadToken()
		if err != nil {
			return texts
		}
		if t.Kind() != '"' {
			continue
		}
		switch text := t.String(); {
		case in == '{' && n%2 == 0:
			name = text
		case in == '{' && name == "scope":
		case len(text) >= minWithin:
			texts = append(texts, text)
			texts = append(texts, TextsWithin(text)...)
		}
	}
}

// What the names of secrets contain or end in, without the marks between words.
// Those that begin other things too (token_url, authorization_endpoint) count at
// the end only. docs/contract.md lists them.
var (
	secretWords = []string{"secret", "password", "passwd", "passphrase", "privatekey", "apikey", "credential", "connectionstring"}
	secretEnds  = []string{"token", "tokens", "accesskey", "signingkey", "encryptionkey", "sharedkey", "authorization", "pwd", "dsn", "jwt", "bearer", "cookie", "otp"}
	wordMarks   = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")
)

func soundsSecret(name string) bool {
	n := wordMarks.Replace(strings.ToLower(name))
	if strings.HasPrefix(n, "max") && strings.HasSuffix(n, "tokens") {
		return false // a size, not tokens; its number would be missed everywhere
	}
	return n == "pin" ||
		slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(n, w) }) ||
		slices.ContainsFunc(secretEnds, func(w string) bool { return strings.HasSuffix(n, w) })
}
