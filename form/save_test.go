package form

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/qa"
)

var savedForm = &qa.Form{Questions: []qa.Question{
	{ID: "url", Kind: qa.KindText},
	{ID: "on", Kind: qa.KindBoolean},
	{ID: "key", Kind: qa.KindText, Secret: true},
	{ID: "bot_token", Kind: qa.KindText},
	{ID: "t", Kind: qa.KindTable, Columns: []qa.Question{{ID: "a", Kind: qa.KindText}, {ID: "b", Kind: qa.KindText, Secret: true}}},
}}

const (
	answersToSave = `{"url":"https://x","on":true,"key":"s","bot_token":"s","t":[{"a":"1","b":"s","c":"s"}],"other":"s"}`
	savedAnswers  = `{"on":true,"t":[{"a":"1"}],"url":"https://x"}` + "\n"
)

func TestOnlyWhatIsNotSecretIsSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.json")
	if err := Save(path, savedForm, json.RawMessage(answersToSave)); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	if string(b) != savedAnswers {
		t.Errorf("%s", b)
	}
	if st, _ := os.Stat(path); st.Mode() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if got := savedForm.Check(b); len(got) != 0 {
		t.Errorf("what was saved is no answer: %v", got)
	}
}

func TestAFileIsReplacedOnlyIfNothingIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		old  string
		fine bool
	}{
		"older answers":              {`{"url":"http://y"}`, true},
		"the same answers":           {savedAnswers, true},
		"nothing":                    {`{}`, true},
		"a secret":                   {`{"url":"http://y","key":"s"}`, false},
		"answers to something else":  {`{"region":"eu"}`, false},
		"answers in another form":    {`{"config":{"url":"http://y"}}`, false},
		"no JSON":                    {"precious", false},
		"empty":                      {"", false},
		"a list":                     {"[]", false},
		"more than answers could be": {`{"url":"` + strings.Repeat("x", qa.MaxAnswers) + `"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "answers.json")
			if err := os.WriteFile(path, []byte(c.old), 0o644); err != nil {
				t.Fatal(err)
			}
			err := Save(path, savedForm, json.RawMessage(answersToSave))
			want := c.old
			if c.fine {
				want = savedAnswers
			}
			if b, _ := os.ReadFile(path); string(b) != want || (err == nil) != c.fine {
				t.Errorf("%v, and the file is %.100s", err, b)
			}
			if c.fine {
				if st, _ := os.Stat(path); st.Mode() != 0o600 {
					t.Errorf("mode %v", st.Mode())
				}
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestWhereAnswersCannotBeSaved(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"a directory":        dir,
		"no directory":       filepath.Join(dir, "none", "answers.json"),
		"a device":           os.DevNull,
		"a hostile\x1b name": filepath.Join(dir, "none", "\x1b"),
	} {
		err := Save(path, savedForm, json.RawMessage(answersToSave))
		if err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: %q", name, err)
		}
	}
}

func TestALinkToAFileStaysOne(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := Save(link, savedForm, json.RawMessage(answersToSave)); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(file); string(b) != savedAnswers {
		t.Errorf("%s", b)
	}
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}

func TestWhereToSaveIsAsked(t *testing.T) {
	dir := t.TempDir()
	suggested := filepath.Join(dir, "answers.json")
	for name, c := range map[string]struct{ input, want string }{
		"no":              {"\n", ""},
		"as suggested":    {"y\n\n", suggested},
		"elsewhere":       {"y\n" + dir + "/x\n", dir + "/x"},
		"a directory":     {"y\n" + dir + "\n\n", suggested},
		"in no directory": {"y\n" + dir + "/none/x\n\n", suggested},
	} {
		var out strings.Builder
		got, err := AskSave(context.Background(), Terminal{In: strings.NewReader(c.input), Out: &out}, suggested)
		if got != c.want || err != nil {
			t.Errorf("%s: %q, %v:\n%s", name, got, err, &out)
		}
	}
}
