package oauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

const state = "the-state-of-this-request"

func waiting() *loopback {
	return &loopback{answers: make(chan answer, 1),
		expected: &expected{redirect: url.URL{Scheme: "http", Host: "127.0.0.1:8123", Path: "/callback"}, state: state}}
}

func TestTheLoopbackServesOneRedirectOnly(t *testing.T) {
	const good = "?code=reflected&state=" + state
	for name, test := range map[string]struct {
		method, target, host string
		want                 int
	}{
		"the redirect":        {"GET", "/callback" + good, "127.0.0.1:8123", 200},
		"more parameters":     {"GET", "/callback" + good + "&scope=reflected", "127.0.0.1:8123", 200},
		"a refusal":           {"GET", "/callback?error=reflected&state=" + state, "127.0.0.1:8123", 200},
		"another path":        {"GET", "/" + good, "127.0.0.1:8123", 404},
		"favicon":             {"GET", "/favicon.ico", "127.0.0.1:8123", 404},
		"a longer path":       {"GET", "/callback/reflected" + good, "127.0.0.1:8123", 404},
		"a post":              {"POST", "/callback" + good, "127.0.0.1:8123", 405},
		"a look ahead":        {"HEAD", "/callback" + good, "127.0.0.1:8123", 405},
		"a name of others":    {"GET", "/callback" + good, "reflected.example:8123", 400},
		"another port":        {"GET", "/callback" + good, "127.0.0.1:8124", 400},
		"no state":            {"GET", "/callback?code=reflected", "127.0.0.1:8123", 400},
		"half of the state":   {"GET", "/callback?code=reflected&state=" + state[:8], "127.0.0.1:8123", 400},
		"more than the state": {"GET", "/callback" + good + "reflected", "127.0.0.1:8123", 400},
		"two states":          {"GET", "/callback" + good + "&state=" + state, "127.0.0.1:8123", 400},
		"a broken query":      {"GET", "/callback" + good + "&%zz", "127.0.0.1:8123", 400},
	} {
		t.Run(name, func(t *testing.T) {
			l := waiting()
			r := httptest.NewRequest(test.method, test.target, nil)
			r.Host = test.host
			w := httptest.NewRecorder()
			l.ServeHTTP(w, r)
			if w.Code != test.want || len(l.answers) == 1 != (test.want == 200) {
				t.Errorf("status %d, %d answers taken; want status %d", w.Code, len(l.answers), test.want)
			}
			if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" ||
				!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("headers %v", h)
			}
			if strings.Contains(w.Body.String(), "reflected") || strings.Contains(w.Body.String(), state) {
				t.Errorf("the page repeats the request: %s", w.Body)
			}
		})
	}
}

func TestTheLoopbackTakesOneOfManyAnswers(t *testing.T) {
	l := waiting()
	codes := make(chan int)
	const many = 20
	for range many {
		go func() {
			r := httptest.NewRequest(http.MethodGet, "/callback?code=x&state="+state, nil)
			r.Host = l.expected.redirect.Host
			w := httptest.NewRecorder()
			l.ServeHTTP(w, r)
			codes <- w.Code
		}()
	}
	count := map[int]int{}
	for range many {
		count[<-codes]++
	}
	if count[200] != 1 || count[400] != many-1 || (<-l.answers).code != "x" {
		t.Errorf("statuses %v, want one 200 and 400 for the others", count)
	}
}

func TestErrorCodesThatAreSecretsAreNotShown(t *testing.T) {
	e := &expected{state: state, nonce: "the-nonce-of-this-request"}
	for code, want := range map[string]string{
		"server_error":                      "server_error",
		e.state:                             "an error code that cannot be shown",
		"x" + e.nonce:                       "an error code that cannot be shown",
		"%1b%5b31m":                         "an error code that cannot be shown",
		strings.Repeat("x", maxErrorCode+1): "an error code that cannot be shown",
	} {
		a, ok := e.read("state=" + state + "&error=" + code)
		if !ok || a.err == nil || a.err.Error() != "the provider refused with "+want {
			t.Errorf("%s: %v, want %q", code, a.err, want)
		}
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := checkRedirect(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAPortThatIsTakenIsTold(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		_, err = listen(t.Context(), &expected{redirect: *mustURL(t, "http://"+host+":"+port+"/callback")})
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: error %v, want address in use", host, err)
		}
	}
}

// TestNobodyElseListensAtLocalhost: a browser that takes localhost for ::1 must not
// give the code to another process there.
func TestNobodyElseListensAtLocalhost(t *testing.T) {
	other, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Addr().String())
	_, err = open(t.Context(), mustURL(t, "http://localhost:"+port))
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want address in use", err)
	}

	u := mustURL(t, "http://localhost")
	listeners, err := open(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if len(listeners) != 2 {
		t.Errorf("%d listeners, want one for each loopback", len(listeners))
	}
	for _, l := range listeners {
		if _, p, _ := net.SplitHostPort(l.Addr().String()); p != u.Port() {
			t.Errorf("listens at %s, but the redirect is %s", l.Addr(), u)
		}
		l.Close()
	}
}

func TestTheServerAnswersOverTheNetwork(t *testing.T) {
	for _, uri := range []string{"http://127.0.0.1", "http://127.0.0.1/a%2Fb/c", "http://localhost/callback"} {
		e := &expected{redirect: *mustURL(t, uri), state: state}
		l, err := listen(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		resp, err := (&http.Client{Transport: transport}).Get(e.redirect.String() + "?code=x&state=" + state)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || (<-l.answers).code != "x" || !resp.Close {
			t.Errorf("%s: status %d, closes %v", uri, resp.StatusCode, resp.Close)
		}
		l.close()
	}
}

func FuzzReadText(f *testing.F) {
	e := waiting().expected
	for _, text := range []string{"code", e.redirect.String() + "?code=x&state=" + state, "http://127.0.0.1:8123/callback?code=x&state=y", "://", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a := e.readText(text)
		if (a.code == "") == (a.err == nil) {
			t.Fatalf("code %q, error %v", a.code, a.err)
		}
		if a.err != nil && strings.ContainsAny(a.err.Error(), "\r\n\x1b") {
			t.Errorf("error %q", a.err)
		}
	})
}
