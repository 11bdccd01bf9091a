package adapters

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckKey refuses what is no key of a value: a key is UTF-8 of 1 to MaxKey bytes
// without control characters. The error repeats the beginning of the key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("a key is empty; it takes 1 to %d bytes", MaxKey)
	case len(key) > MaxKey:
		return fmt.Errorf("the key %.120q has %d bytes; the limit is %d", key, len(key), MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("the key %.120q is not UTF-8", key)
	case strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("the key %.120q has control characters", key)
	}
	return nil
}
