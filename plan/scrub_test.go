package plan

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScrub(t *testing.T) {
	var b strings.Builder
	for i := range 160 {
		fmt.Fprintf(&b, "%04d", i*i%9973)
	}
	long := b.String() // 640 bytes: three windows
	pem := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----\n"
	for _, tc := range []struct {
		name     string
		secrets  []string
		in, want string
	}{
		{"nothing known", nil, "hunter2", "hunter2"},
		{"plain", []string{"hunter2"}, "the password is hunter2!", "the password is [redacted]!"},
		{"whole", []string{"hunter2"}, "hunter2", "[redacted]"},
		{"twice", []string{"hunter2"}, "hunter2hunter2 hunter2", "[redacted] [redacted]"},
		{"nearly", []string{"hunter2"}, "hunter3 unter2", "hunter3 unter2"},
		{"longest first", []string{"abcd", "abcdefgh"}, "abcdefgh abcde", "[redacted] [redacted]e"},
		{"overlap", []string{"abcdef", "defghi"}, "xabcdefghix", "x[redacted]x"},
		{"overlap of itself", []string{"abab"}, "ababab", "[redacted]"},
		{"one inside of another", []string{"abcdefgh", "cdef"}, "abcdefgh", "[redacted]"},
		{"short inside", []string{"abc"}, "xabcx", "xabcx"},
		{"short whole", []string{"abc", "1"}, "abc", "[redacted]"},
		{"empty", []string{"", " "}, "a  b", "a  b"},
		{"trimmed", []string{" hunter2\n"}, "hunter2", "[redacted]"},
		{"line", []string{pem}, "read MIIEvQIBADANBgkqhkiG9w0BAQ", "read [redacted]"},
		{"not every line", []string{"first\nsecond line of it\n"}, "first", "first"},
		{"long", []string{long}, "<" + long + ">", "<[redacted]>"},
		{"piece of long", []string{long}, "<" + long[:300] + ">", "<[redacted]" + long[256:300] + ">"},
		{"JSON", []string{"a\"b\\c\nd"}, `{"k":"a\"b\\c\nd"}`, `{"k":"[redacted]"}`},
		{"JSON in HTML", []string{"a<b>&c"}, `a\u003cb\u003e\u0026c`, "[redacted]"},
		{"JSON with slashes", []string{"https://u:p@h/x"}, `"https:\/\/u:p@h\/x"`, `"[redacted]"`},
		{"JSON in ASCII", []string{"pässwörd😀"}, `p\u00e4ssw\u00f6rd\ud83d\ude00`, "[redacted]"},
		{"quoted by Go", []string{"pä\"ss\x00"}, `p\u00e4"ss\x00`, "[redacted]"},
		{"quoted by Go, cut", []string{"pä\"ss\x00"}, `it is \u00e4`, `it is \u00e4`},
		{"not UTF-8", []string{"ab\xff\xfecd"}, "ab\ufffd\ufffdcd ab\ufffdcd", "[redacted] [redacted]"},
		{"escaped as somebody likes", []string{"é<&\"x"}, `a \u00E9\u003C\u0026\u0022x b \u00e9<&\"x c \xc3\xa9\x3c&"\x78 d \U000000e9<&"x`, "a [redacted] b [redacted] c [redacted] d [redacted]"},
		{"escapes that are none", []string{"hunter2"}, `\q\u12 %zz hunter2 \`, `\q\u12 %zz [redacted] \`},
		{"half of a surrogate pair", []string{"pass😀"}, `\ud83d pass\ud83d\ude00 \ud83d\x`, `\ud83d [redacted] \ud83d\x`},
		{"percent in lower case", []string{"a b/c+d&é"}, "t=a%20b%2fc%2bd%26%c3%a9&u", "t=[redacted]&u"},
		{"encodeURIComponent", []string{"it's (a) b!*~"}, "t=it's%20(a)%20b!*~ t=it%27s+%28a%29+b%21%2A%7E", "t=[redacted] t=[redacted]"},
		{"every byte in percent", []string{"hunter2"}, "%68%75%6e%74%65%72%32 %68%75%6E%74%65%72%32 hu%6Eter2", "[redacted] [redacted] [redacted]"},
		{"percent in JSON", []string{"a/b\"c"}, `"https:\/\/x?t=a%2Fb%22c"`, `"https:\/\/x?t=[redacted]"`},
		{"base64 in JSON", []string{"\xfb\xff\xfe~~~~~~"}, `+\/\/+fn5+fn5+`, "[redacted]"},
		{"pointer", []string{"a/b~c"}, "at /plan/a~1b~0c: must", "at /plan/[redacted]: must"},
		{"bytes that shrink to a mark", []string{"\xff\xfe\xfd\xfc"}, "\ufffd a\ufffdb", "\ufffd a\ufffdb"},
		{"hexadecimal of mixed case", []string{"hunter2jk"}, "68756E746572326A6b", "[redacted]"},
		{"query", []string{"a b/c+d&e"}, "https://x?t=a+b%2Fc%2Bd%26e&u=1", "https://x?t=[redacted]&u=1"},
		{"path", []string{"a b/c+d"}, "https://x/a%20b%2Fc+d/y", "https://x/[redacted]/y"},
		{"hexadecimal", []string{"hunter2"}, "0x68756e74657232 68756E74657232", "0x[redacted] [redacted]"},
		{"base64", []string{"hunter2"}, "is aHVudGVyMg==", "is [redacted]=="},
		{"base64 URL", []string{"\xfb\xff\xfe~~~~~~"}, "-__-fn5-fn5-", "[redacted]"},
		{"base64 of more", []string{"correct horse"}, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("user:correct horse!")) + ".", "Authorization: Basic [redacted]."},
		{"what it writes", []string{"redacted", "[red"}, "it is redacted: [redacted]", "it is redacted: [redacted]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := NewScrubber(tc.secrets...).Scrub(tc.in); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestScrubCut(t *testing.T) {
	s := NewScrubber("correct horse battery", "abc")
	for in, want := range map[string]string{
		"it is correct horse battery staple": "it is [redacted] staple",
		"it is correct hor":                  "it is [redacted]",
		"it is correct hor…":                 "it is [redacted]…",
		"it is corr":                         "it is [redacted]",
		"it is cor":                          "it is cor",
		"correct horse battery, correct ":    "[redacted], [redacted]",
		"abc":                                "[redacted]",
		"it is correct\\u0020ho":             "it is [redacted]",
		"it is correct\\u0020ho\\u00…":       "it is [redacted]…",
		"it is correct%20%6":                 "it is [redacted]",
		"it is 636F7272656374":               "it is [redacted]",
		"":                                   "",
	} {
		if got := s.ScrubCut(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestScrubJSON(t *testing.T) {
	s := NewScrubber("hunter2", "123456", "abc")
	for in, want := range map[string]string{
		`{"a": ["hunter2", "xhunter2x", "\u0068unter2"], "b": "h\u0075nter2"}`: `{"a":["[redacted]","x[redacted]x","[redacted]"],"b":"[redacted]"}`,
		`{"hunter2": 1, "\u0068unter2x": 2, "z": {"abc": "abcd"}}`:             `{"[redacted]":1,"[redacted]x":2,"z":{"[redacted]":"abcd"}}`,
		`{"ahunter2": 1, "a\u0068unter2": 2}`:                                  `"[redacted]"`, // no JSON of ours
		`{"hunter2": 1, "123456": 2, "[redacted]": 3}`:                         `{"[redacted]":1,"[redacted]#2":2,"[redacted]#3":3}`,
		`[123456, 1234567, 12345, -123456, 0.123456]`:                          `["[redacted]","[redacted]",12345,"[redacted]","[redacted]"]`,
		`[true, false, null, {}, []]`:                                          `[true,false,null,{},[]]`,
		`"{\"password\":\"hunter2\"}"`:                                         `"{\"password\":\"[redacted]\"}"`,
		`{`:                                                                    `"[redacted]"`,
	} {
		if got := s.ScrubJSON(json.RawMessage(in)); string(got) != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := s.ScrubJSON(nil); got != nil {
		t.Errorf("nil became %s", got)
	}
}

func TestScrubKeepsKeysApart(t *testing.T) {
	one := json.RawMessage("1")
	p := New()
	for _, k := range []string{"hunter2", "hunter3", "[redacted]", "[redacted]#2", "other"} {
		p.ConfigPatch[k] = one
	}
	got := NewScrubber("hunter2", "hunter3").Plan(p)
	if len(got.ConfigPatch) != 5 || got.ConfigPatch["other"] == nil {
		t.Errorf("got %v", got.ConfigPatch)
	}
}

// TestScrubProperties plants secrets in every place of a plan, in every form,
// and looks for them in what is written.
func TestScrubProperties(t *testing.T) {
	// Upper-case letters between marks: nothing that a plan's own names contain.
	secret := rapid.Custom(func(t *rapid.T) string {
		return "§" + rapid.StringOfN(rapid.RuneFrom([]rune("ABCÄ\"\\/<& \n😀")), 4, 40, -1).Draw(t, "secret") + "§"
	})
	percent := regexp.MustCompile("%..")
	encodings := []func(string) string{
		func(s string) string { return s },
		url.QueryEscape,
		url.PathEscape,
		func(s string) string { return hex.EncodeToString([]byte(s)) },
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte("u:" + s + ":x")) },
		func(s string) string { return percent.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
		func(s string) string { return strings.ReplaceAll(url.PathEscape(s), "A", "%41") },
		func(s string) string { return pointerEscaper.Replace(s) },
		func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		func(s string) string { b, _ := json.Marshal(s); return string(b) },
		func(s string) string { return strings.ReplaceAll(fmt.Sprintf("%+q", s), "A", `\u0041`) },
		func(s string) string { return fmt.Sprintf("%+q", s) },
	}
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(secret, 1, 4).Draw(t, "secrets")
		text := rapid.Custom(func(t *rapid.T) string {
			s := rapid.SampledFrom(secrets).Draw(t, "which")
			form := rapid.SampledFrom(encodings).Draw(t, "form")(s)
			return rapid.SampledFrom([]string{"", "x", "§A", "ab:"}).Draw(t, "before") + form +
				rapid.SampledFrom([]string{"", "y", "A§", "=="}).Draw(t, "after")
		})
		object := func(label string) map[string]json.RawMessage {
			m := map[string]json.RawMessage{}
			for range rapid.IntRange(0, 3).Draw(t, label) {
				b, err := Canonical(map[string]any{text.Draw(t, "name"): []any{text.Draw(t, "value"), 1}})
				if err != nil {
					t.Fatal(err)
				}
				m[text.Draw(t, "key")] = b
			}
			return m
		}
		str := func() *string { s := text.Draw(t, "text"); return &s }
		p := Plan{
			ConfigPatch: object("config"),
			SecretsPatch: SecretsPatch{
				Set:    map[string]Redacted{text.Draw(t, "name"): {Value: str()}},
				Delete: []string{text.Draw(t, "deleted")},
			},
			WebhookOps:      []WebhookOp{{Op: *str(), ID: str(), URL: str(), Metadata: object("webhook")}},
			SubscriptionOps: []SubscriptionOp{{Op: *str(), ID: str(), Metadata: object("subscription")}},
			OAuthOps:        []OAuthOp{{Op: "start", Provider: *str(), Scopes: []string{*str()}, RedirectURL: str()}},
			Notes:           []string{*str()},
		}
		d := Diagnostic{Severity: Info, Code: "X", Message: *str(), Path: *str(), Hint: *str(), Data: object("data")["x"]}
		e := Effect{Step: Apply, Via: ViaPatch, Target: "config_patch." + *str()}

		s := NewScrubber(secrets...)
		clean := s.Plan(p)
		patch := s.Patch(&Patch{ConfigPatch: p.ConfigPatch, SecretsPatch: &p.SecretsPatch, WebhookOps: p.WebhookOps,
			SubscriptionOps: p.SubscriptionOps, OAuthOps: p.OAuthOps, Notes: p.Notes})
		out, err := Canonical([]any{clean, patch, s.Diagnostics([]Diagnostic{d}), s.Effects([]Effect{e})})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			minimal, _ := json.Marshal(secret)
			for _, form := range []string{secret, string(minimal[1 : len(minimal)-1]), hex.EncodeToString([]byte(secret)),
				base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(string(out), form) {
					t.Fatalf("%q is left in %s", form, out)
				}
			}
			for skip := range 3 {
				middle := []byte(secret)[skip:]
				middle = middle[:len(middle)/3*3]
				if strings.Contains(string(out), base64.StdEncoding.EncodeToString(middle)) {
					t.Fatalf("base64 of %q is left in %s", middle, out)
				}
			}
		}
		if len(clean.ConfigPatch) != len(p.ConfigPatch) {
			t.Fatalf("%d keys of %d", len(clean.ConfigPatch), len(p.ConfigPatch))
		}
	})
}

// TestScrubFindsWhatASearchFinds compares with the obvious way to search.
func TestScrubFindsWhatASearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 4, 12, -1)
		secrets := rapid.SliceOfN(few, 1, 8).Draw(t, "secrets")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 60, -1).Draw(t, "text")
		hidden := make([]bool, len(text))
		for _, s := range secrets {
			for i := 0; i+len(s) <= len(text); i++ {
				if text[i:i+len(s)] == s {
					for j := range s {
						hidden[i+j] = true
					}
				}
			}
		}
		var spans []bool
		for _, sp := range NewScrubber(secrets...).find(text, false) {
			for len(spans) < sp.end {
				spans = append(spans, false)
			}
			for i := sp.start; i < sp.end; i++ {
				spans[i] = true
			}
		}
		for len(spans) < len(text) {
			spans = append(spans, false)
		}
		if !slices.Equal(spans, hidden) {
			t.Fatalf("got  %v\nwant %v", spans, hidden)
		}
	})
}

// TestWithin: what Within gives is what stands in the texts as it is.
func TestWithin(t *testing.T) {
	pem := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----\n"
	s := NewScrubber("hunter2", "", "absent", "pin", "hunter2", " spaced out ", pem, "redacted", "b\xffc-", "9e9e")
	for _, c := range []struct {
		texts []string
		want  []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"a hunter2 b", "hunter2"}, []string{"hunter2"}},
		{[]string{"aHVudGVyMg==", "68756e74657232"}, nil}, // encoded
		{[]string{"spin", "pinned"}, nil},
		{[]string{"pin", "x9e9e", "hunter2"}, []string{"hunter2", "pin", "9e9e"}}, // in their order
		{[]string{"key=MIIEvQIBADANBgkqhkiG;"}, []string{"MIIEvQIBADANBgkqhkiG"}},
		{[]string{"so spaced out"}, []string{"spaced out"}},
		{[]string{"hun", "ter2"}, nil},
		{[]string{"ab", "c-"}, nil}, // the separator of texts is no text
		{[]string{"ab\xffc-"}, []string{"b\xffc-"}},
		{[]string{"[redacted]"}, nil},
	} {
		if got := s.Within(c.texts...); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.texts, got, c.want)
		}
	}
	if got := NewScrubber().Within("x"); got != nil {
		t.Errorf("got %q", got)
	}
}

// TestWithinFindsWhatASearchFinds compares it with a search for each value in each text.
func TestWithinFindsWhatASearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := func(least, most int) *rapid.Generator[string] {
			return rapid.StringOfN(rapid.RuneFrom([]rune("ab")), least, most, -1)
		}
		values := rapid.SliceOfNDistinct(of(1, 8), 0, 8, func(s string) string { return s }).Draw(t, "values")
		texts := rapid.SliceOfN(of(0, 20), 0, 4).Draw(t, "texts")
		var want []string
		for _, v := range values {
			if slices.ContainsFunc(texts, func(s string) bool { return s == v || len(v) >= 4 && strings.Contains(s, v) }) && !strings.Contains(Withheld, v) {
				want = append(want, v)
			}
		}
		if got := NewScrubber(values...).Within(texts...); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestTextsWithin(t *testing.T) {
	for in, want := range map[string][]string{
		"":                     nil,
		"hunter2-plain":        nil,
		"12345678":             nil,
		`{"seven":"7777777"}`:  nil,
		`{"eight":"88888888"}`: {"88888888"},
		" \n{\"a\": {\"long-name\": [\"first-one\", 12345678, \"second-one\"]}}": {"first-one", "second-one"},
		`["first-one", {"n": "second-one"}]`:                                     {"first-one", "second-one"},
		`"quoted-text"`:                                                          {"quoted-text"},
		`{"k": "-----BEGIN\nKEY-----"}`:                                          {"-----BEGIN\nKEY-----"},
		`{"k": "first-one", "k": "second-one"}`:                                  {"first-one", "second-one"},
		`{"k": "first-one", "cut": "sec`:                                         {"first-one"},
		`{"json": "{\"k\": \"inner-one\"}"}`:                                     {`{"k": "inner-one"}`, "inner-one"},
		`{"access_token": "first-one", "token_type": "Bearer", "scope": "Mail.Read Mail.Send", "id_token": "second-one"}`: {"first-one", "second-one"},
		`{"scope": {"scopes": ["first-one"]}}`: {"first-one"},
		"{\"k\": \"first\xffone\"}":            {"first\ufffdone"},
		strings.Repeat("[", 20_000):            nil,
	} {
		if got := TextsWithin(in); !slices.Equal(got, want) {
			t.Errorf("%.80s: got %q, want %q", in, got, want)
		}
	}
}

// TestScrubHostileCost has what a guest could arrange within its limits: many
// secrets that begin alike, in a response full of their beginnings.
func TestScrubHostileCost(t *testing.T) {
	begin := strings.Repeat("a", 200)
	var secrets []string
	for i := range 10_000 {
		secrets = append(secrets, fmt.Sprintf("%s%05d", begin, i), strings.Repeat("a", 4+i%600))
	}
	text := strings.Repeat(begin+"b", 5_000)   // 1 MiB
	got := NewScrubber(secrets...).Scrub(text) // quadratic, it would not end within the tests' time
	if strings.Contains(got, "aaaa") {
		t.Error("a secret is left")
	}
}

func TestSecretValues(t *testing.T) {
	for in, want := range map[string][]string{
		`null`:                     nil,
		`{}`:                       nil,
		`{"region": "eu-central"}`: nil,
		`{"secrets": {"K": "x", "L": {"deep": ["yy", 5, null, true]}, "M": ""}, "config": {"K": "open"}}`: {"x", "yy", "5"},
		`{"secrets": ["one", {"a": "two"}]}`:                        {"one", "two"},
		`{"secrets": "one"}`:                                        {"one"},
		`{"secrets": 123456}`:                                       {"123456"},
		`{"token": 1.5e300, "n": 7}`:                                {"1.5e+300", "15" + strings.Repeat("0", 299)},
		`{"pin": 9007199254740993}`:                                 {"9007199254740993", "9007199254740992"},
		`{"password": "abc"}`:                                       {"abc"},
		`{"secrets": {"SA": "{\"private_key\": \"private-one\"}"}}`: {`{"private_key": "private-one"}`, "private-one"},
		`{"bot_token": "12345", "max_tokens": 4096}`:                {"12345"},
		`{"botToken": "v-one", "Client-Secret": "v-two", "db": {"PASSWORD": {"old": "v-three"}}, "n": "open"}`: {"v-two", "v-one", "v-three"},
		`{"api_key": "v-one", "privateKey": ["v-two"], "aws.credentials": "v-six", "passphrase": "abc"}`:       {"v-one", "v-six", "abc", "v-two"},
	} {
		doc, err := Read([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := SecretValues(doc); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestSoundsSecret(t *testing.T) {
	for _, name := range []string{"tokens", "refresh.tokens", "db_passwd", "PWD", "SSH-Passphrase", "secretAccessKey", "azure access key", "signing_key", "EncryptionKey",
		"shared-key", "Authorization", "Proxy-Authorization", "connectionString", "DB_CONNECTION_STRING", "sentry.dsn", "jwt", "bearer", "session_cookie", "totp", "otp", "PIN", "credentials"} {
		if !soundsSecret(name) {
			t.Errorf("%s does not sound secret", name)
		}
	}
	for _, name := range []string{"region", "token_url", "tokenizer", "authorization_endpoint", "access_key_id", "pinned", "spin", "max_tokens", "cookie_domain", "key", "option"} {
		if soundsSecret(name) {
			t.Errorf("%s sounds secret", name)
		}
	}
}

// TestScrubNamesOfShortSecrets: where a short value is a whole name, it is seen.
func TestScrubNamesOfShortSecrets(t *testing.T) {
	s := NewScrubber("abc", "a/b")
	d := s.Diagnostics([]Diagnostic{{Code: "X", Path: "/config/abc/a~1b/abcd"}})[0]
	if d.Path != "/config/[redacted]/[redacted]/abcd" {
		t.Errorf("path %q", d.Path)
	}
	for in, want := range map[string]string{
		"config_patch.abc": "config_patch.[redacted]", "secrets_patch.set.abc": "secrets_patch.set.[redacted]",
		"secrets_patch.delete.abc": "secrets_patch.delete.[redacted]", "config_patch.abcd": "config_patch.abcd", "notes[1]": "notes[1]",
	} {
		if got := s.Effects([]Effect{{Target: in}})[0].Target; got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
	if p := s.Plan(Plan{ConfigPatch: map[string]json.RawMessage{"abc": json.RawMessage("1")}}); p.ConfigPatch["[redacted]"] == nil {
		t.Errorf("got %v", p.ConfigPatch)
	}
}

// TestScrubLeavesOurWords has secrets that are words of this program.
func TestScrubLeavesOurWords(t *testing.T) {
	s := NewScrubber("start", "patch", "secrets_patch", "notes", "STEP", "hint")
	own := Diagnostic{Severity: Info, Code: "STEP_ABSENT", Message: "a patch", Hint: "a hint", Path: "/patch", Data: json.RawMessage(`"patch"`), Own: true}
	theirs := own
	theirs.Own = false
	ds := s.Diagnostics([]Diagnostic{own, theirs})
	if got, want := fmt.Sprint(ds[0]), fmt.Sprint(own); got != want {
		t.Errorf("ours became %s", got)
	}
	if d := ds[1]; d.Code != "REDACTED" || d.Message != "a [redacted]" || d.Hint != "a [redacted]" || string(d.Data) != `"[redacted]"` {
		t.Errorf("theirs became %+v", d)
	}
	if got := s.Effects([]Effect{{Target: "secrets_patch.set.patch"}, {Target: "notes[0]"}}); got[0].Target != "secrets_patch.set.[redacted]" || got[1].Target != "notes[0]" {
		t.Errorf("effects %v", got)
	}
	if got := s.Plan(Plan{OAuthOps: []OAuthOp{{Op: "start"}}}); got.OAuthOps[0].Op != "start" {
		t.Errorf("got %v", got.OAuthOps)
	}
}

// FuzzScrub: a value is never left in a text, and what is left of a text is as it
// was, whatever half escapes stand around it.
func FuzzScrub(f *testing.F) {
	f.Add("hunter2", "", `a hunter2 \u00`)
	f.Add("p\u00e4\"ss", `\ud83d\`, `%C3%A4 \u00E4 \U000000e4 \xc3\xa4`)
	f.Add("\xff\xfe\xfd\xfc", "%", "%%%f \\")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < minScrub || strings.ContainsAny(secret, Withheld[:1]+Withheld[len(Withheld)-1:]) || strings.Contains(Withheld, secret) {
			return // what Withheld and its neighbours may spell again
		}
		s := NewScrubber(secret)
		text := before + secret + after
		for _, got := range []string{s.Scrub(text), s.ScrubCut(text), s.Path(text)} {
			if strings.Contains(got, secret) || !strings.Contains(got, Withheld) {
				t.Fatalf("%q in %q gives %q", secret, text, got)
			}
		}
		for _, sp := range s.find(text, true) {
			if sp.start < 0 || sp.end <= sp.start || sp.end > len(text) {
				t.Fatalf("%q in %q: %v", secret, text, sp)
			}
		}
	})
}
