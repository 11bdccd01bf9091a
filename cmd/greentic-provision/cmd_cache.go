package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/supervisor/codecache"
)

// cacheDir is the directory of --cache-dir, or the user's own.
func cacheDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	dir, err := codecache.DefaultDir()
	if err != nil {
		return "", &usageError{what: "code cache", rule: err.Error(), hint: "name a directory with --cache-dir, or use --no-cache"}
	}
	return dir, nil
}

// openCache opens the code cache, which it makes where there is none.
func openCache(dir string) (*codecache.Cache, error) {
	dir, err := cacheDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := codecache.Open(dir, codecache.DefaultSize)
	if err != nil {
		rule := strings.TrimPrefix(err.Error(), "code cache: ")
		return nil, &usageError{what: "code cache", rule: rule, hint: "name another directory with --cache-dir"}
	}
	return c, nil
}

// cacheEntries lists the code cache and gives it, to be cleared. Where there is
// none, there are no entries and it is nil: looking makes nothing.
func cacheEntries(dir string) (*codecache.Cache, []codecache.Entry, error) {
	dir, err := cacheDir(dir)
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	cache, err := openCache(dir)
	if err != nil {
		return nil, nil, err
	}
	entries, err := cache.List()
	return cache, entries, err
}

const cacheDirUsage = "directory of compiled code (default: greentic-provision/code in the user's cache directory)"

// cacheDocument is what cache list --json prints.
type cacheDocument struct {
	Entries []codecache.Entry `json:"entries"`
	Bytes   int64             `json:"bytes"`
}

func (a *app) cacheList() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List compiled code, last used first",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, entries, err := cacheEntries(dir)
			if err != nil {
				return err
			}
			doc := cacheDocument{Entries: append([]codecache.Entry{}, entries...)}
			for _, e := range entries {
				doc.Bytes += e.Bytes
			}
			if asJSON {
				return a.printJSON(doc)
			}
			var b bytes.Buffer
			for _, e := range entries {
				fmt.Fprintf(&b, "%.12s  %-9s  %8.1f KiB  %s\n", e.Name, e.Layer, float64(e.Bytes)/float64(limits.KiB), e.LastUse.Format("2006-01-02 15:04"))
			}
			fmt.Fprintf(&b, "%d entries, %.1f MiB\n", len(entries), float64(doc.Bytes)/float64(limits.MiB))
			return output{to: a.stdout}.write(b.Bytes())
		},
	}
	c.Flags().StringVar(&dir, "cache-dir", "", cacheDirUsage)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func (a *app) cacheClear() *cobra.Command {
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "clear",
		Short: "Remove all compiled code; the next run compiles again",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			cache, entries, err := cacheEntries(dir)
			if err != nil {
				return err
			}
			n := len(entries)
			if cache != nil {
				if n, err = cache.Clear(); err != nil {
					return err
				}
			}
			if asJSON {
				return a.printJSON(struct {
					Removed int `json:"removed"`
				}{n})
			}
			return output{to: a.stdout}.write(fmt.Appendf(nil, "%d entries removed\n", n))
		},
	}
	c.Flags().StringVar(&dir, "cache-dir", "", cacheDirUsage)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
