package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/greentic-ai/greentic-provision/adapters"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Serve is the main function of a plug-in. It serves what is not nil until the host ends
// the plug-in, and then returns. A panic in one of the adapters becomes the error of the
// call, and its stack goes to standard error.
//
// A program that was not started by a host says so and exits with code 1.
func Serve(values adapters.Values, executor adapters.Executor) {
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		// What go-plugin says next, before it exits, does not tell which program.
		fmt.Fprintf(os.Stderr, "%s is an adapter of greentic-provision: give it to --adapter as plugin:%[1]s?sha256=…\n", os.Args[0])
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	defer signal.Stop(stop)
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         goplugin.PluginSet{service: &served{values: values, executor: executor}},
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			server := grpc.NewServer(append(opts, grpc.UnaryInterceptor(guardCall), grpc.StreamInterceptor(guardStream))...)
			go func() {
				<-stop
				// Calls under way may end; the host kills what takes longer than its grace.
				defer time.AfterFunc(grace/2, server.Stop).Stop()
				server.GracefulStop()
			}()
			return server
		},
	})
}

func (s *served) GRPCServer(_ *goplugin.GRPCBroker, server *grpc.Server) error {
	if s.values != nil {
		pb.RegisterValuesServer(server, &valuesServer{values: s.values})
	}
	if s.executor != nil {
		pb.RegisterExecutorServer(server, &executorServer{executor: s.executor})
	}
	return nil
}

func guardCall(ctx context.Context, req any, _ *grpc.UnaryServerInfo, call grpc.UnaryHandler) (answer any, err error) {
	defer guard(&err)
	return call(ctx, req)
}

func guardStream(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, call grpc.StreamHandler) (err error) {
	defer guard(&err)
	return call(s, stream)
}

// guard makes an error of a panic, and of any error one that fits into a header. What
// somebody panicked with may hold anything; only the runtime's own words are passed on.
func guard(err *error) {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "%s\npanic in a call: %T\n", debug.Stack(), r)
		text := fmt.Sprintf("panic with a %T; the stack is on its standard error", r)
		if own, ok := r.(runtime.Error); ok {
			text = "panic: " + own.Error()
		}
		*err = status.Error(codes.Internal, text)
		return
	}
	if *err == nil {
		return
	}
	code := status.Code(*err)
	switch {
	case errors.Is(*err, context.Canceled):
		code = codes.Canceled
	case errors.Is(*err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	text := (*err).Error()
	if s, ok := status.FromError(*err); ok {
		text = s.Message()
	}
	*err = status.Error(code, hostile.Clip(text, 2*maxText))
}

type valuesServer struct {
	pb.UnimplementedValuesServer
	values adapters.Values
}

func (s *valuesServer) Keys(req *pb.KeysRequest, stream grpc.ServerStreamingServer[pb.KeysResponse]) error {
	ns, err := fromNamespace(req.GetNamespace())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	keys, err := s.values.Keys(stream.Context(), ns)
	if err != nil {
		return err
	}
	page, size := &pb.KeysResponse{}, 0
	for _, key := range keys {
		if size += len(key) + perEntry; size > pageSize && len(page.Keys) > 0 {
			if err := stream.Send(page); err != nil {
				return err
			}
			page, size = &pb.KeysResponse{}, len(key)+perEntry
		}
		page.Keys = append(page.Keys, key)
	}
	return stream.Send(page)
}

func (s *valuesServer) Load(req *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadResponse]) error {
	ns, err := fromNamespace(req.GetNamespace())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	all, err := s.values.Load(stream.Context(), ns)
	if err != nil {
		return err
	}
	page, size := &pb.LoadResponse{}, 0
	for _, key := range slices.Sorted(maps.Keys(all)) {
		v := all[key]
		if len(v.Bytes) > adapters.MaxValue {
			return status.Errorf(codes.OutOfRange, "the value of %s has %d bytes; a value has at most %d", hostile.Quote(key), len(v.Bytes), adapters.MaxValue)
		}
		n := len(key) + len(v.Bytes) + perEntry
		if size += n; size > pageSize && len(page.Entries) > 0 {
			if err := stream.Send(page); err != nil {
				return err
			}
			page, size = &pb.LoadResponse{}, n
		}
		page.Entries = append(page.Entries, &pb.Entry{Key: key, Value: v.Bytes, Secret: v.Secret})
	}
	return stream.Send(page)
}

func (s *valuesServer) Apply(stream grpc.ClientStreamingServer[pb.ApplyRequest, pb.ApplyResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ns, err := fromNamespace(first.GetNamespace())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	b := adapters.Batch{ID: first.GetBatch().GetId(), Token: first.GetBatch().GetToken(), Origin: fromOrigin(first.GetBatch().GetOrigin())}
	for page := first; ; {
		for _, m := range page.GetChanges() {
			ch, err := fromChange(m)
			if err != nil {
				return status.Error(codes.InvalidArgument, err.Error())
			}
			b.Changes = append(b.Changes, ch)
		}
		page, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			break // the batch is whole
		}
		if err != nil {
			return err
		}
	}
	if err := s.values.Apply(stream.Context(), ns, b); err != nil {
		return err
	}
	return stream.SendAndClose(&pb.ApplyResponse{})
}

type executorServer struct {
	pb.UnimplementedExecutorServer
	executor adapters.Executor
}

func (s *executorServer) Execute(ctx context.Context, req *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	ns, err := fromNamespace(req.GetNamespace())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	out, err := s.executor.Execute(ctx, ns, fromOperation(req.GetOperation()))
	switch {
	case errors.Is(err, adapters.ErrPending):
		return &pb.ExecuteResponse{Result: &pb.ExecuteResponse_Pending{Pending: &pb.Pending{Reason: hostile.Clip(err.Error(), 2*maxText)}}}, nil
	case err != nil:
		return nil, err
	}
	return &pb.ExecuteResponse{Result: &pb.ExecuteResponse_Done{Done: &pb.Outcome{Detail: out.Detail, Secrets: out.Secrets}}}, nil
}
