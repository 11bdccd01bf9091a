package plugin

import (
	"cmp"
	"context"
	"errors"

	"github.com/greentic-ai/greentic-provision/adapters"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Executor gives what the plug-in carries out.
func (c *Client) Executor() adapters.Executor { return &executor{c, pb.NewExecutorClient(c.conn)} }

type executor struct {
	c   *Client
	rpc pb.ExecutorClient
}

func (e *executor) Execute(ctx context.Context, ns adapters.Namespace, op adapters.Operation) (adapters.Outcome, error) {
	var out adapters.Outcome
	err := e.c.call(ctx, "execute "+string(op.Kind), func(ctx context.Context) error {
		answer, err := e.rpc.Execute(ctx, &pb.ExecuteRequest{Namespace: toNamespace(ns), Operation: toOperation(op)})
		if err != nil {
			return err
		}
		out, err = outcome(answer)
		return err
	})
	if err != nil {
		return adapters.Outcome{}, err
	}
	return out, nil
}

// outcome checks what the plug-in says that it did.
func outcome(answer *pb.ExecuteResponse) (adapters.Outcome, error) {
	switch result := answer.GetResult().(type) {
	case *pb.ExecuteResponse_Pending:
		return adapters.Outcome{}, pending(hostile.Escape(result.Pending.GetReason(), maxText))
	case *pb.ExecuteResponse_Done:
		seen := collected{}
		var secrets [][]byte
		for key, value := range result.Done.GetSecrets() {
			if err := seen.add(key, adapters.Value{Bytes: value}); err != nil {
				return adapters.Outcome{}, err
			}
			secrets = append(secrets, value)
		}
		if repeats(result.Done.GetDetail(), secrets) {
			return adapters.Outcome{}, errors.New("it says something for people that holds one of its secrets")
		}
		return adapters.Outcome{Detail: hostile.Escape(result.Done.GetDetail(), maxText), Secrets: result.Done.GetSecrets()}, nil
	}
	return adapters.Outcome{}, errors.New("it answered with neither done nor pending")
}

// pending is the plug-in's reason, and an adapters.ErrPending.
type pending string

func (p pending) Error() string { return cmp.Or(string(p), adapters.ErrPending.Error()) }
func (pending) Unwrap() error   { return adapters.ErrPending }
