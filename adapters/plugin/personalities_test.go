package plugin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/adapters/plugin"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
	"github.com/greentic-ai/greentic-provision/internal/leakcheck"
)

// The test binary is every plug-in of these tests, by the name that it is started by.
func TestMain(m *testing.M) {
	if be, ok := personalities[filepath.Base(os.Args[0])]; ok {
		be()
		return
	}
	leakcheck.Main(m)
}

// canary is a secret that nobody may see.
const canary = "canary-19af"

var personalities = map[string]func(){
	"good": func() { plugin.Serve(&memory{}, executor{}) },
	"leaves-properly": func() {
		plugin.Serve(&memory{}, nil)
		if err := os.WriteFile(os.Args[0]+".left", nil, 0o600); err != nil {
			panic(err)
		}
	},
	"valuable": func() { plugin.Serve(&memory{}, nil) },

	// Those that do not start.
	"hangs-at-start": func() {
		fmt.Fprintln(os.Stderr, "waiting for the vault")
		if err := os.WriteFile(os.Args[0]+".started", nil, 0o600); err != nil {
			panic(err)
		}
		select {}
	},
	"hangs-after-the-handshake": func() {
		l, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "socket"))
		if err != nil {
			panic(err)
		}
		fmt.Printf("1|1|unix|%s|grpc|%s\n", l.Addr(), certificate())
		select {}
	},
	"exits-at-start": func() {
		fmt.Fprintln(os.Stderr, "first line\n\x1b[31mcannot open the vault")
		os.Exit(3)
	},
	"exits-after-the-handshake": func() {
		fmt.Printf("1|1|unix|/nonexistent|grpc|%s\n", certificate())
		os.Exit(4)
	},
	"closes-its-output": func() {
		os.Stdout.Close()
		select {}
	},
	"says-something-else": func() { fmt.Println("\x1b[2Jusage: something else [flags]") },
	"roars": func() {
		b := []byte(strings.Repeat("\x00garbage\xff", 1000))
		for {
			if _, err := os.Stdout.Write(b); err != nil {
				return
			}
		}
	},
	"speaks-version-2": func() {
		h := handshake
		h.ProtocolVersion = 2
		serveRaw(h, nil)
	},
	"speaks-core-version-9": func() { fmt.Printf("9|1|unix|/nonexistent|grpc|%s\n", certificate()) },
	"speaks-netrpc":         func() { fmt.Printf("1|1|unix|/nonexistent|netrpc|%s\n", certificate()) },
	"has-no-certificate":    func() { fmt.Println("1|1|unix|/nonexistent|grpc|") },
	"listens-elsewhere":     func() { fmt.Printf("1|1|tcp|192.0.2.1:80|grpc|%s\n", certificate()); select {} },

	// Those that misbehave in a call.
	"hangs": func() {
		plugin.Serve(&memory{load: func(context.Context) error { select {} }}, nil)
	},
	"exits": func() {
		plugin.Serve(&memory{load: func(context.Context) error {
			syscall.Write(2, []byte("the disk is gone"))
			os.Exit(7)
			return nil
		}}, nil)
	},
	"prints-and-exits": func() {
		plugin.Serve(&memory{load: func(context.Context) error {
			for range 100 { // it goes through go-plugin's stream, which the exit cuts off
				fmt.Fprintln(os.Stderr, "printed while serving")
				time.Sleep(5 * time.Millisecond)
			}
			os.Exit(7)
			return nil
		}}, nil)
	},
	"dies-with-a-value": func() {
		plugin.Serve(&memory{load: func(context.Context) error {
			syscall.Write(2, []byte("cannot store "+canary))
			os.Exit(7)
			return nil
		}}, nil)
	},
	"is-killed": func() {
		plugin.Serve(&memory{load: func(context.Context) error {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}}, nil)
	},
	"panics": func() {
		plugin.Serve(&memory{load: func(context.Context) error { panic(canary) }}, panicking{})
	},
	"gives-reasons": func() {
		plugin.Serve(&memory{load: func(context.Context) error {
			return errors.New("\x1b[31mno\nway\x07 " + strings.Repeat("x", 1<<20))
		}, apply: func(b adapters.Batch) error { return fmt.Errorf("refused: %s", b.Changes[0].Value.Bytes) }}, nil)
	},
	"gives-raw-reasons": func() {
		serveRaw(handshake, &raw{load: func(grpc.ServerStreamingServer[pb.LoadResponse]) error {
			return status.Error(codes.PermissionDenied, "\x1b[31mno\nway\x07 "+strings.Repeat("x", 10<<10))
		}, keys: func(grpc.ServerStreamingServer[pb.KeysResponse]) error {
			return status.Error(codes.PermissionDenied, strings.Repeat("x", 4<<20))
		}})
	},
	"floods-with-keys": func() {
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			for i := range 20_000 {
				if err := s.Send(&pb.KeysResponse{Keys: []string{fmt.Sprint("key", i)}}); err != nil {
					return err
				}
			}
			return nil
		}})
	},
	"floods-with-bytes": func() {
		serveRaw(handshake, &raw{load: func(s grpc.ServerStreamingServer[pb.LoadResponse]) error {
			for i := 0; ; i++ {
				if err := s.Send(&pb.LoadResponse{Entries: []*pb.Entry{{Key: fmt.Sprint("key", i), Value: make([]byte, 1<<20)}}}); err != nil {
					return err
				}
			}
		}})
	},
	"never-ends": func() {
		serveRaw(handshake, &raw{load: func(s grpc.ServerStreamingServer[pb.LoadResponse]) error {
			for {
				if err := s.Send(&pb.LoadResponse{}); err != nil {
					return err
				}
			}
		}})
	},
	"sends-large-values": func() {
		serveRaw(handshake, &raw{load: func(s grpc.ServerStreamingServer[pb.LoadResponse]) error {
			return s.Send(&pb.LoadResponse{Entries: []*pb.Entry{{Key: "large", Value: make([]byte, adapters.MaxValue+1)}}})
		}})
	},
	"sends-large-messages": func() {
		serveRaw(handshake, &raw{load: func(s grpc.ServerStreamingServer[pb.LoadResponse]) error {
			return s.Send(&pb.LoadResponse{Entries: []*pb.Entry{{Key: "large", Value: make([]byte, 100<<20)}}})
		}})
	},
	"sends-keys-twice":   sendsKeys("a", "b", "a"),
	"sends-empty-keys":   sendsKeys("a", ""),
	"sends-long-keys":    sendsKeys(strings.Repeat("k", adapters.MaxKey+1)),
	"sends-control-keys": sendsKeys("a\x1b[2J"),
	"answers-nothing":    func() { plugin.Serve(nil, nil) },
	"executes-nothing":   func() { serveRaw(handshake, &raw{}) },
	"tells-secrets":      func() { plugin.Serve(nil, telling{}) },

	// Those that lie.
	"stores-nothing":       func() { plugin.Serve(&memory{lie: func(adapters.Change) bool { return false }}, nil) },
	"deletes-nothing":      func() { plugin.Serve(&memory{lie: func(c adapters.Change) bool { return !c.Delete }}, nil) },
	"stores-another-value": func() { plugin.Serve(&memory{alter: func(v *adapters.Value) { v.Bytes = []byte("another") }}, nil) },
	"forgets-secrecy":      func() { plugin.Serve(&memory{alter: func(v *adapters.Value) { v.Secret = false }}, nil) },
	"mixes-tenants": func() {
		plugin.Serve(&memory{place: func(ns adapters.Namespace) adapters.Namespace { ns.Tenant = ""; return ns }}, nil)
	},
	"mixes-areas": func() {
		plugin.Serve(&memory{place: func(ns adapters.Namespace) adapters.Namespace { return ns.In("") }}, nil)
	},
	"acknowledges-all": func() { serveRaw(handshake, &raw{early: true}) },

	// Those that do not end, or make noise.
	"ignores-sigterm": func() {
		signal.Ignore(syscall.SIGTERM)
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			panic(err)
		}
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			return s.Send(&pb.KeysResponse{Keys: []string{fmt.Sprint(child.Process.Pid), fmt.Sprint(os.Getpid())}})
		}})
	},
	"leaves-a-child": func() {
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			panic(err)
		}
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			return s.Send(&pb.KeysResponse{Keys: []string{fmt.Sprint(child.Process.Pid)}})
		}, load: func(grpc.ServerStreamingServer[pb.LoadResponse]) error {
			os.Exit(7)
			return nil
		}})
	},
	"opens-connections": func() {
		p := &rawPlugin{}
		p.raw = &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			announced := make(chan string, 1)
			go func() {
				if l, err := p.broker.Accept(1); err == nil {
					l.Close()
					announced <- "a connection was announced"
				}
			}()
			select {
			case key := <-announced:
				return s.Send(&pb.KeysResponse{Keys: []string{key}})
			case <-time.After(200 * time.Millisecond):
				return nil
			}
		}}
		servePlugin(handshake, p)
	},
	"tells-its-pid": func() {
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			return s.Send(&pb.KeysResponse{Keys: []string{fmt.Sprint(os.Getpid())}})
		}})
	},
	"is-noisy": func() {
		noise := []byte(strings.Repeat("noise\x1b[2J\n", 1000))
		forever := func(write func() error) {
			for write() == nil {
			}
		}
		plugin.Serve(&memory{keys: sync.OnceFunc(func() { // the handshake is over
			for _, fd := range []int{1, 2} {
				go forever(func() error { _, err := syscall.Write(fd, noise); return err })
			}
			go forever(func() error { _, err := os.Stderr.Write(noise); return err })
		})}, nil)
	},
	"tells-its-surroundings": func() {
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			stdin, err := os.Readlink("/proc/self/fd/0")
			keys := []string{"stdin=" + stdin, fmt.Sprint("leads=", syscall.Getpgrp() == os.Getpid()), "program=" + os.Args[0]}
			for _, v := range os.Environ() {
				if name, _, _ := strings.Cut(v, "="); name != "PLUGIN_CLIENT_CERT" { // it has lines
					keys = append(keys, v)
				}
			}
			return errors.Join(err, s.Send(&pb.KeysResponse{Keys: keys}))
		}})
	},
}

// handshake is as the protocol says.
var handshake = goplugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "GREENTIC_ADAPTER_PLUGIN", MagicCookieValue: "greentic.provision.adapter.v1"}

// memory holds values. It is well-behaved but for the funcs that are set.
type memory struct {
	keys  func()
	load  func(context.Context) error
	apply func(adapters.Batch) error
	lie   func(adapters.Change) bool // whether to make a change
	alter func(*adapters.Value)
	place func(adapters.Namespace) adapters.Namespace

	mu     sync.Mutex
	values map[adapters.Namespace]map[string]adapters.Value
}

func (m *memory) at(ns adapters.Namespace) adapters.Namespace {
	if m.place != nil {
		return m.place(ns)
	}
	return ns
}

func (m *memory) Keys(_ context.Context, ns adapters.Namespace) ([]string, error) {
	if m.keys != nil {
		m.keys()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.values[m.at(ns)])), nil
}

func (m *memory) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	if m.load != nil {
		return nil, m.load(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values[m.at(ns)]), nil
}

func (m *memory) Apply(_ context.Context, ns adapters.Namespace, b adapters.Batch) error {
	if m.apply != nil {
		return m.apply(b)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[adapters.Namespace]map[string]adapters.Value{}
	}
	if m.values[m.at(ns)] == nil {
		m.values[m.at(ns)] = map[string]adapters.Value{}
	}
	for _, c := range b.Changes {
		switch {
		case m.lie != nil && !m.lie(c):
		case c.Delete:
			delete(m.values[m.at(ns)], c.Key)
		default:
			if m.alter != nil {
				m.alter(&c.Value)
			}
			m.values[m.at(ns)][c.Key] = c.Value
		}
	}
	return nil
}

// executor says what it was asked, as secrets.
type executor struct{}

func (executor) Execute(_ context.Context, ns adapters.Namespace, op adapters.Operation) (adapters.Outcome, error) {
	switch op.Verb {
	case "wait":
		return adapters.Outcome{}, fmt.Errorf("somebody must agree: %w", adapters.ErrPending)
	case "fail":
		return adapters.Outcome{}, errors.New("the other system is away")
	}
	return adapters.Outcome{Detail: "done \x1b[31m", Secrets: map[string][]byte{
		"namespace": []byte(ns.String()), "id": []byte(op.ID), "metadata": op.Metadata["deep"], "at": []byte(op.AttemptedAt.String()),
	}}, nil
}

type telling struct{}

func (telling) Execute(context.Context, adapters.Namespace, adapters.Operation) (adapters.Outcome, error) {
	return adapters.Outcome{Detail: "got " + canary, Secrets: map[string][]byte{"token": []byte(canary)}}, nil
}

type panicking struct{}

func (panicking) Execute(context.Context, adapters.Namespace, adapters.Operation) (adapters.Outcome, error) {
	var none []int
	_ = none[len(os.Args)+4]
	return adapters.Outcome{}, nil
}

// raw speaks the protocol as no well-behaved server does.
type raw struct {
	pb.UnimplementedValuesServer
	pb.UnimplementedExecutorServer
	keys  func(grpc.ServerStreamingServer[pb.KeysResponse]) error
	load  func(grpc.ServerStreamingServer[pb.LoadResponse]) error
	early bool // acknowledge batches before they are whole
}

func (r *raw) Keys(_ *pb.KeysRequest, s grpc.ServerStreamingServer[pb.KeysResponse]) error {
	if r.keys == nil {
		return nil
	}
	return r.keys(s)
}

func (r *raw) Load(_ *pb.LoadRequest, s grpc.ServerStreamingServer[pb.LoadResponse]) error {
	if r.load == nil {
		return nil
	}
	return r.load(s)
}

func (r *raw) Apply(s grpc.ClientStreamingServer[pb.ApplyRequest, pb.ApplyResponse]) error {
	for !r.early {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return s.SendAndClose(&pb.ApplyResponse{})
}

func (*raw) Execute(context.Context, *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	return &pb.ExecuteResponse{}, nil
}

func sendsKeys(keys ...string) func() {
	return func() {
		serveRaw(handshake, &raw{keys: func(s grpc.ServerStreamingServer[pb.KeysResponse]) error {
			return s.Send(&pb.KeysResponse{Keys: keys})
		}})
	}
}

// serveRaw serves with go-plugin alone.
func serveRaw(h goplugin.HandshakeConfig, r *raw) { servePlugin(h, &rawPlugin{raw: r}) }

func servePlugin(h goplugin.HandshakeConfig, p *rawPlugin) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: h,
		Plugins:         goplugin.PluginSet{"adapter": p},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

type rawPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	raw    *raw
	broker *goplugin.GRPCBroker
}

func (p *rawPlugin) GRPCServer(broker *goplugin.GRPCBroker, s *grpc.Server) error {
	p.broker = broker
	if p.raw != nil {
		pb.RegisterValuesServer(s, p.raw)
		pb.RegisterExecutorServer(s, p.raw)
	}
	return nil
}

func (*rawPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is a plug-in")
}

// certificate gives one whose key nobody has.
func certificate() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return base64.RawStdEncoding.EncodeToString(der)
}
