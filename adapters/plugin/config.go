package plugin

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Config names a plug-in and bounds it. It opens nothing.
type Config struct {
	// Path of the program; a relative one counts from the working directory.
	Path string
	// SHA256 of the program in 64 hexadecimal digits. A plug-in without it is not
	// started.
	SHA256 string
	// Kind says what the plug-in is asked to serve: "secrets", "config", …, or
	// "webhook", "oauth", … for an executor. It reads it in KindVariable.
	Kind string
	// Name stands in errors; "" means the last part of Path.
	Name string
	// CallTimeout ends a call; 0 means 30 seconds. An Apply is several.
	CallTimeout time.Duration
	// StartTimeout is for everything until the plug-in answers; 0 means 10 seconds.
	StartTimeout time.Duration
}

// The timeouts of a Config that has none.
const (
	DefaultCallTimeout  = 30 * time.Second
	DefaultStartTimeout = 10 * time.Second
)

const scheme = "plugin:"

// ParseURL reads plugin:PATH?sha256=HEX[&timeout=5s], where the timeout is for calls.
// PATH is escaped as in URLs. An error is a *adapters.ConfigError.
func ParseURL(s string) (Config, error) {
	refuse := func(format string, args ...any) (Config, error) {
		return Config{}, &adapters.ConfigError{Adapter: "plugin", Reason: fmt.Sprintf("%q: ", s) + fmt.Sprintf(format, args...),
			Hint: "write plugin:PATH?sha256=HEX, and timeout=5s if it shall differ from 30s"}
	}
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return refuse("it does not begin with %s", scheme)
	}
	path, query, _ := strings.Cut(rest, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return refuse("the path: %v", err)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return refuse("the parameters: %v", err)
	}
	cfg := Config{Path: path}
	for name, values := range params {
		if len(values) != 1 {
			return refuse("%s is given %d times", hostile.Quote(name), len(values))
		}
		switch name {
		case "sha256":
			cfg.SHA256 = values[0]
		case "timeout":
			cfg.CallTimeout, err = time.ParseDuration(values[0])
			if err != nil || cfg.CallTimeout <= 0 {
				return refuse("timeout=%s is not a time such as 5s", hostile.Escape(values[0], hostile.MaxShown))
			}
		default:
			return refuse("there is no parameter %s", hostile.Quote(name))
		}
	}
	if _, err := cfg.complete(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// complete checks the configuration and fills in what was left out. Kind is checked by
// Open, since URLs do not have it.
func (cfg Config) complete() (Config, error) {
	if cfg.Path == "" {
		return cfg, &adapters.ConfigError{Adapter: "plugin", Reason: "there is no path to the program"}
	}
	if cfg.Name == "" {
		cfg.Name = filepath.Base(cfg.Path)
	}
	if cfg.SHA256 == "" {
		return cfg, cfg.refused("there is no checksum", "add sha256= and what sha256sum says of the program that you checked")
	}
	if sum, err := hex.DecodeString(cfg.SHA256); err != nil || len(sum) != 32 {
		return cfg, cfg.refused("sha256="+hostile.Escape(cfg.SHA256, hostile.MaxShown)+" is not a checksum", "it takes 64 hexadecimal digits")
	}
	cfg.SHA256 = strings.ToLower(cfg.SHA256)
	if cfg.CallTimeout < 0 || cfg.StartTimeout < 0 {
		return cfg, cfg.refused("a timeout is less than nothing", "")
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = DefaultCallTimeout
	}
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = DefaultStartTimeout
	}
	return cfg, nil
}

// adapter is the name that errors have.
func (cfg Config) adapter() string { return "plugin " + hostile.Escape(cfg.Name, hostile.MaxShown) }

// refused says why this plug-in cannot be opened.
func (cfg Config) refused(reason, hint string) error {
	return &adapters.ConfigError{Adapter: cfg.adapter(), Reason: strconv.Quote(cfg.Path) + ": " + reason, Hint: hint}
}
