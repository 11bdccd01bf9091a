package plugin_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/greentic-ai/greentic-provision/adapters/plugin"
)

func init() {
	// A program that opens a plug-in, says which process it is, and does nothing more.
	personalities["host"] = func() {
		c, err := plugin.Open(context.Background(), plugin.Config{Path: os.Args[1], SHA256: os.Args[2], Kind: "config"})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.Values().Keys(context.Background(), somewhere))
		select {}
	}
}

func TestAPluginDiesWithItsHost(t *testing.T) {
	t.Parallel()
	cfg := config(t, "tells-its-pid")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := &exec.Cmd{Path: self, Args: []string{"host", cfg.Path, cfg.SHA256}, Env: append(os.Environ(), "TMPDIR="+shortDir(t))}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n') // [pid] <nil>
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	pid, err := strconv.Atoi(strings.Trim(strings.TrimSuffix(strings.TrimSpace(line), "<nil>"), "[] "))
	if err != nil {
		t.Fatalf("the host says %q", line)
	}
	vanishes(t, pid)
}
