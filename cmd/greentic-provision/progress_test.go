package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bytes.Buffer
		p := startProgress(&w)
		p.show("quick")
		time.Sleep(patience - 50*time.Millisecond)
		p.show("")
		time.Sleep(2 * patience)
		synctest.Wait()
		if w.Len() != 0 {
			t.Errorf("something quick was shown: %q", w.String())
		}
		p.show("compiling a\x1b[31m.wasm")
		time.Sleep(patience + 150*time.Millisecond)
		synctest.Wait()
		if got := w.String(); !strings.Contains(got, `compiling a\x1b[31m.wasm … 0.`) {
			t.Errorf("something slow shows as %q", got)
		}
		p.close()
		if got := w.String(); !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("the line is not wiped at the end: %q", got)
		}
	})
}

func TestNoProgressInAPipe(t *testing.T) {
	var w bytes.Buffer
	p := newProgress(&w)
	if p != nil {
		t.Fatal("a buffer was taken for a terminal")
	}
	p.show("x") // must not panic
	p.close()
}
