package pack

import (
	"path"
	"slices"
	"strings"

	"github.com/greentic-ai/greentic-provision/internal/hostile"
	"github.com/greentic-ai/greentic-provision/plan"
)

// assetPrefix is where packers move files that they do not know: for a path P,
// P is tried first, then assets/P.
const assetPrefix = "assets/"

// withAssets lists where these files may lie, best first.
func withAssets(names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, n, assetPrefix+n)
	}
	return out
}

// asset gives the first of these files that the pack has, "" for none. A name
// that no entry could have is passed over: some come out of the manifest.
func (d *draft) asset(names ...string) (string, error) {
	for _, name := range withAssets(names...) {
		if checkName(name) != nil {
			continue
		}
		f, err := d.src.find(name)
		if err != nil {
			return "", err
		}
		if f == present {
			return name, nil
		}
	}
	return "", nil
}

// secretFiles are the spellings of upstream's tools, the usual one first.
var secretFiles = []string{"secret-requirements.json", "secret_requirements.json", ".secret_requirements.json"}

// documents reads what decides a run without being code.
func (d *draft) documents() (err error) {
	var questions []string
	if len(d.ext.offers) > 0 { // the one that is asked, see asked
		questions = append(questions, strings.TrimPrefix(d.ext.offers[0].Setup.QARef, "./"))
	}
	if d.Setup, err = d.load(append(questions, "setup.yaml")...); err != nil {
		return err
	}
	if d.Setup == nil {
		if err := d.questionForm(); err != nil {
			return err
		}
	}
	if d.SecretRequirements, err = d.load(secretFiles...); err != nil {
		return err
	}
	if b, err := plan.Read(d.m.secrets); d.SecretRequirements == nil && err == nil && string(b) != "null" && string(b) != "[]" {
		d.SecretRequirements = &Document{Path: d.Manifest.File + "#/secret_requirements", SHA256: hexSHA256(b), Bytes: b}
	}
	if d.RequirementsFile, err = d.load("requirements.json"); err != nil {
		return err
	}
	if d.Provider == nil || d.Provider.ConfigSchema == "" {
		return nil
	}
	if d.ConfigSchema, err = d.load(strings.TrimPrefix(d.Provider.ConfigSchema, "./")); err == nil && d.ConfigSchema == nil {
		d.note(plan.Info, "SCHEMA_ABSENT", d.Manifest.File, "", "the provider's config_schema_ref %s is not in the pack", hostile.Quote(d.Provider.ConfigSchema))
	}
	return err
}

// load reads the first of these documents that the pack has, nil for none.
func (d *draft) load(names ...string) (*Document, error) {
	name, err := d.asset(names...)
	if err != nil || name == "" {
		return nil, err
	}
	b, err := d.src.document(name)
	if err != nil {
		return nil, err
	}
	d.uses(name)
	return &Document{Path: name, SHA256: d.src.sums[name].SHA256, Bytes: b}, nil
}

// questionForm reads the form that some packs have instead of setup.yaml. Its name
// is free, so the first that has "setup" in it counts, else the first.
func (d *draft) questionForm() error {
	for _, dir := range withAssets("qa") {
		files, err := d.src.list(dir)
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return path.Ext(f) != ".json" })
		if len(files) == 0 {
			continue
		}
		file := files[0]
		if i := slices.IndexFunc(files, func(f string) bool { return strings.Contains(path.Base(f), "setup") }); i >= 0 {
			file = files[i]
		}
		if len(files) > 1 {
			d.note(plan.Warn, "QUESTIONS_SEVERAL", file, "keep one of them", "several forms fit: %s; %s counts", hostile.QuoteAll(files), hostile.Quote(file))
		}
		d.QuestionForm, err = d.load(file)
		return err
	}
	return nil
}
