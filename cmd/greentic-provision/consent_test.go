package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greentic-ai/greentic-provision/engine"
)

// visitor is a stderr that visits the address which it is shown, as a person would.
type visitor struct {
	mu      sync.Mutex
	said    bytes.Buffer // not embedded: io.WriteString would go past Write
	visited sync.WaitGroup
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/auth\S*`)

func (v *visitor) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a := address.Find(b); a != nil {
		v.visited.Go(func() {
			resp, err := http.Get(string(a))
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	return v.said.Write(b)
}

// TestConsent: the operation of a plan becomes a consent in a browser, and the token a
// secret of the installation; without a client it waits.
func TestConsent(t *testing.T) {
	const token = "t0ken-C4n4ry"
	mux := http.NewServeMux()
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		back := q.Get("redirect_uri") + "?" + url.Values{"code": {"c0de"}, "state": {q.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != "c0de" || r.FormValue("code_verifier") == "" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()

	d := newDesk(t)
	pack := d.path("pack")
	if err := os.Mkdir(pack, 0o700); err != nil {
		t.Fatal(err)
	}
	const answer = `{"plan":{"oauth_ops":[{"op":"start","provider":"idp","scopes":["mail.read"]}]}}`
	d.write("pack/setup_default__apply.wat", fmt.Sprintf(`(module (memory (export "memory") 1) (data (i32.const 0) "%s")
		(func (export "run") (param i32 i32) (result i32 i32) (i32.const 0) (i32.const %d)))`, strings.ReplaceAll(answer, `"`, `\22`), len(answer)))
	d.write("pack/pack.json", `{"id":"consent","version":"1.0.0","meta":{"entry_flows":{"setup":"setup_default"}}}`)
	about := []string{"--provider-id", "consent"}
	out, _ := d.run(engine.ExitOK, "apply", "setup", "--pack", pack, "--yes")
	if !strings.Contains(out, "pending  oauth start idp") || !strings.Contains(out, "1 operation waits.") {
		t.Fatalf("without a client: %s", out)
	}
	d.write("clients.json", fmt.Sprintf(`{"providers":{"idp":{"client_id":"me","auth_url":"%s/auth","token_url":"%s/token"}}}`, server.URL, server.URL))
	var stdout bytes.Buffer
	stderr := &visitor{}
	args := slices.Concat([]string{"apply", "resume", "--oauth", "browser", "--oauth-clients", d.path("clients.json")}, about)
	code := run(t.Context(), args, strings.NewReader(""), &stdout, stderr)
	stderr.visited.Wait()
	if said := stdout.String() + stderr.said.String(); code != engine.ExitOK || !strings.Contains(said, "done     oauth start idp") || !strings.Contains(said, "consent asks for consent at idp for mail.read") ||
		strings.Contains(said, token) || strings.Contains(said, "c0de") {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if got, _ := d.run(engine.ExitOK, "secrets", "list", "--provider-id", "consent"); got != "oauth_access_token\noauth_access_token_idp\noauth_token\noauth_token_idp\n" {
		t.Errorf("secrets: %s", got)
	}
	// What is done is not asked for again.
	if out, _ := d.run(engine.ExitOK, "apply", "setup", "--pack", pack, "--yes"); !strings.Contains(out, "done     oauth start idp") {
		t.Errorf("again: %s", out)
	}
}
