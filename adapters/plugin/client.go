package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/greentic-ai/greentic-provision/adapters"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Version is the version of the protocol: see adapter.proto.
const Version = 1

// KindVariable is the environment variable in which a plug-in reads what it is asked to
// serve, Config.Kind.
const KindVariable = "GREENTIC_ADAPTER_KIND"

// service is the name that both sides of go-plugin know what is served by.
const service = "adapter"

// handshake tells a plug-in that it runs as one. It keeps nobody out.
var handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  Version,
	MagicCookieKey:   "GREENTIC_ADAPTER_PLUGIN",
	MagicCookieValue: "greentic.provision.adapter.v1",
}

// gRPC logs errors to standard error, among them some that a peer can cause at will.
func init() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) }

const (
	maxMessage = 2 << 20 // bytes; a value of adapters.MaxValue and what is around it
	maxHeaders = 64 << 10
	maxText    = 300 // bytes of a text of the plug-in that an error repeats
)

var kinds = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

// Client is a running plug-in. It is safe for concurrent use.
type Client struct {
	cfg  Config
	proc *process
	conn *grpc.ClientConn
	dir  string // of the socket; "" before it is made

	applying chan struct{} // holds one token while a batch is written and read back
	apart    bool          // installations were seen to be kept apart; guarded by applying
	// told are the secrets of the last batch. A text that repeats one is withheld.
	told atomic.Pointer[[][]byte]

	close  func() error
	closed chan struct{}
}

// Open starts the plug-in and waits until it answers. ctx bounds the start only. The
// error is a *adapters.ConfigError when the plug-in is to blame, or its configuration.
func Open(ctx context.Context, cfg Config) (_ *Client, err error) {
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	if !kinds.MatchString(cfg.Kind) {
		return nil, cfg.refused("it cannot be asked to serve "+hostile.Quote(cfg.Kind), "a kind is a short word in lower case")
	}
	failed := func(err error) error { return &adapters.Error{Adapter: cfg.adapter(), Op: "start", Err: err} }
	if ctx.Err() != nil {
		return nil, failed(ended(ctx))
	}
	if cfg.Path, err = filepath.Abs(cfg.Path); err != nil {
		return nil, failed(err)
	}
	program, err := openProgram(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	c := &Client{cfg: cfg, applying: make(chan struct{}, 1), closed: make(chan struct{})}
	c.close = sync.OnceValue(c.end)
	c.proc, err = newProcess(&exec.Cmd{Path: runnable(program), Args: []string{cfg.Path}})
	if err != nil {
		return nil, failed(err)
	}
	if err := c.start(ctx); err != nil {
		c.proc.kill() // it has nothing to save: it was asked for nothing yet
		if left := c.Close(); left != nil {
			err = fmt.Errorf("%w; %w", err, left)
		}
		return nil, err
	}
	return c, nil
}

// start runs the process, connects to it, and has it answer once.
func (c *Client) start(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	// go-plugin takes no context. The end of the process ends each of its waits.
	inTime := context.AfterFunc(starting, c.proc.kill)

	conn, err := c.dial()
	if err == nil {
		c.conn = conn
		var answer *grpc_health_v1.HealthCheckResponse
		answer, err = grpc_health_v1.NewHealthClient(conn).Check(starting,
			&grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
		if err == nil && answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			err = fmt.Errorf("it says that it is not serving (health: %s)", answer.Status)
		}
	}
	switch {
	case inTime() && err == nil:
		return nil
	case ctx.Err() != nil:
		return &adapters.Error{Adapter: c.cfg.adapter(), Op: "start", Err: ended(ctx)}
	case starting.Err() != nil:
		return c.cfg.refused(fmt.Sprintf("it did not answer within %s of its start", c.cfg.StartTimeout), c.lastWords())
	}
	return c.cfg.refused(c.diagnosis(err), "")
}

// dial has go-plugin start the process and connect to it.
func (c *Client) dial() (*grpc.ClientConn, error) {
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          goplugin.PluginSet{service: &served{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),            // it repeats the plug-in's output
		SyncStderr:       &c.proc.words,                    // what a plug-in in Go prints while it serves
		StartTimeout:     c.cfg.StartTimeout + time.Second, // ours comes first
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
			c.dir = dir
			c.proc.cmd.Env = append(environment(os.Environ()), spec.Env...)
			c.proc.cmd.Env = append(c.proc.cmd.Env, KindVariable+"="+c.cfg.Kind)
			return c.proc, nil
		},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
			grpc.WithMaxHeaderListSize(maxHeaders),
			grpc.WithStreamInterceptor(plumbing),
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(),
			grpc.WithIdleTimeout(0), // one connection for life
		},
	})
	// Its Kill is never called: it asks the plug-in over the connection, and waits for
	// the answer for ever. See end for what is done instead.
	proto, err := client.Client()
	if err != nil {
		return nil, err
	}
	conn, err := proto.Dispense(service)
	if err != nil {
		return nil, err
	}
	return conn.(*grpc.ClientConn), nil
}

// plumbing is for the streams that go-plugin opens for itself. Its broker, by which
// plug-ins open more connections, is not used, and would let a plug-in make goroutines
// here without bound. Its stream of standard output and error may be missing, for any
// reason: with other errors than this go-plugin gives up and forgets the connection.
func plumbing(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	switch method {
	case "/plugin.GRPCBroker/StartStream":
		return nil, status.Error(codes.Unimplemented, "there is no broker")
	case "/plugin.GRPCStdio/StreamStdio":
		stream, err := open(ctx, desc, conn, method, opts...)
		if err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		return stream, nil
	}
	return open(ctx, desc, conn, method, opts...)
}

// environment picks what a plug-in is given of the host's environment.
func environment(host []string) []string {
	var env []string
	for _, v := range host {
		switch name, _, _ := strings.Cut(v, "="); {
		case name == "PATH", name == "HOME", name == "LANG", strings.HasPrefix(name, "GREENTIC_ADAPTER_"):
			env = append(env, v)
		}
	}
	return env
}

// diagnosis says why the plug-in could not be started. It goes by what the plug-in did,
// because go-plugin's errors are texts of several lines.
func (c *Client) diagnosis(err error) string {
	line := c.proc.greeting.line()
	said := strings.Split(line, "|")
	switch {
	case c.proc.pid == 0:
		if why, ok := errors.AsType[*fs.PathError](err); ok {
			err = why.Err // without the name by which it is run
		}
		return "it cannot be run: " + hostile.Error(err)
	case line == "" && c.proc.failed():
		return "it is not a plug-in, or cannot start: " + c.proc.end() + ", without saying where it listens"
	case line == "":
		return "it is not a plug-in: it closed its standard output without saying where it listens"
	case len(said) < 5:
		return "it is not a plug-in: it began with " + hostile.Quote(line) + " and not with where it listens"
	case said[0] != strconv.Itoa(goplugin.CoreProtocolVersion):
		return "it speaks version " + hostile.Quote(said[0]) + " of go-plugin's protocol, and this program 1"
	case said[1] != strconv.Itoa(Version):
		return "it speaks version " + hostile.Quote(said[1]) + " of the adapter protocol, and this program " + strconv.Itoa(Version)
	case said[4] != string(goplugin.ProtocolGRPC):
		return "it speaks " + hostile.Quote(said[4]) + " and not grpc"
	case len(said) < 6 || said[5] == "":
		return "it gave no certificate, so that nobody could say who is at the other end"
	case c.proc.failed():
		return c.proc.end() + " before it answered"
	}
	return "it cannot be reached: " + hostile.Error(err)
}

// lastWords gives the plug-in's last line as a hint; "" where there is none.
func (c *Client) lastWords() string {
	if words := c.proc.words.last(); words != "" {
		return "its last words were " + hostile.QuoteUpTo(words, maxText)
	}
	return ""
}

// Close ends the plug-in: it is asked to end, and killed with its process group when it
// has not done so in time. It ends calls that are under way.
func (c *Client) Close() error { return c.close() }

func (c *Client) end() error {
	close(c.closed)
	if c.conn != nil {
		_ = c.conn.Close() // it has nothing to flush
	}
	var err error
	if c.proc.pid != 0 {
		err = c.proc.dismiss()
	}
	c.proc.close()
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	if err != nil {
		return &adapters.Error{Adapter: c.cfg.adapter(), Op: "close", Err: err}
	}
	return nil
}

// call makes one call of the plug-in and turns whatever comes of it into one error.
func (c *Client) call(ctx context.Context, op string, f func(context.Context) error) error {
	err := c.alive()
	if err == nil {
		err = c.attempt(ctx, f)
	}
	if err == nil {
		return nil
	}
	return &adapters.Error{Adapter: c.cfg.adapter(), Op: op, Err: err}
}

// alive gives the reason why there is no point in calling any more.
func (c *Client) alive() error {
	select {
	case <-c.closed:
		return errClosed
	default:
	}
	select {
	case <-c.proc.done:
		return c.lost()
	default:
		return nil
	}
}

// lost says how the plug-in ended.
func (c *Client) lost() error {
	if c.repeats(c.proc.words.last()) {
		return errors.New("it ended, and its last words hold a value")
	}
	return errors.New(c.proc.end())
}

var errClosed = errors.New("it is closed")

func (c *Client) attempt(ctx context.Context, f func(context.Context) error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	// The plug-in is told that it is too late, but not when that will be: gRPC's
	// deadlines run out on both sides at once, and what it says then is not the reason.
	calling, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(ended(ctx)) })()
	late := fmt.Errorf("it did not answer within %s (%w)", c.cfg.CallTimeout, context.DeadlineExceeded)
	defer time.AfterFunc(c.cfg.CallTimeout, func() { cancel(late) }).Stop()

	err := f(calling)
	answer, answered := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case !answered: // what we found wrong
		return err
	case calling.Err() != nil:
		return context.Cause(calling)
	}
	switch answer.Code() {
	case codes.Unavailable:
		c.proc.gone(reapTime / 5) // a broken connection is often the first sign of the end
		fallthrough
	case codes.Canceled:
		if err := c.alive(); err != nil {
			return err
		}
	}
	switch text := answer.Message(); {
	case answer.Code() == codes.Unimplemented:
		return fmt.Errorf("it does not serve this: %s", hostile.QuoteUpTo(text, maxText))
	case c.repeats(text):
		return fmt.Errorf("it failed (%s) and gave a reason that holds a value", answer.Code())
	default:
		return fmt.Errorf("it failed (%s): %s", answer.Code(), hostile.QuoteUpTo(text, maxText))
	}
}

// ended says why ctx has ended, in the caller's words and in the standard ones.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

func (c *Client) repeats(text string) bool {
	told := c.told.Load()
	return told != nil && repeats(text, *told)
}

// repeats says whether a text holds one of the values, or the beginning of one: texts
// are cut. Very short values are in many texts by chance, and are no secrets.
func repeats(text string, values [][]byte) bool {
	for _, v := range values {
		if len(v) >= 4 && strings.Contains(text, string(v[:min(len(v), 16)])) {
			return true
		}
	}
	return false
}

// served is what go-plugin knows of the services, on both sides.
type served struct {
	goplugin.NetRPCUnsupportedPlugin
	values   adapters.Values
	executor adapters.Executor
}

func (*served) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
