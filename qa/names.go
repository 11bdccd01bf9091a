package qa

import "strings"

// Field gives the known field that the secret of a key is for (TELEGRAM_BOT_TOKEN
// is for bot_token), or the key itself.
func (c *Classifier) Field(key string) string {
	for _, f := range c.Fields() {
		if f == key {
			return f
		}
	}
	for _, f := range c.Fields() {
		if alias(key, f) {
			return f
		}
	}
	return key
}

// SameProvider says whether the name by which a component describes itself may be
// that of one of the others: a provider's type, a component's id, a pack's id. They
// follow no common rule ("telegram", "messaging.telegram.bot",
// "messaging-provider-telegram"), so two names are of one provider when they share a
// word that tells providers apart. A name without such a word tells nothing.
func SameProvider(name string, others ...string) bool {
	mine := words(name)
	for _, o := range others {
		theirs := words(o)
		for w := range mine {
			if theirs[w] {
				return true
			}
		}
	}
	return len(mine) == 0
}

// kindWords are in the names of providers of every kind.
var kindWords = map[string]bool{
	"messaging": true, "events": true, "event": true, "state": true, "secrets": true, "oauth": true, "provider": true,
	"bot": true, "api": true, "component": true, "ai": true, "greentic": true, "source": true,
}

func words(name string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(".-_/: @", r) }) {
		if !kindWords[w] {
			out[w] = true
		}
	}
	return out
}
