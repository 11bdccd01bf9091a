package plugin

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/greentic-ai/greentic-provision/adapters"
	pb "github.com/greentic-ai/greentic-provision/adapters/plugin/proto"
	"github.com/greentic-ai/greentic-provision/internal/hostile"
)

// Values gives the values that the plug-in holds. Apply reads back what it wrote and
// fails when the plug-in then says something else.
func (c *Client) Values() adapters.Values { return &values{c, pb.NewValuesClient(c.conn)} }

type values struct {
	c   *Client
	rpc pb.ValuesClient
}

// secret says whether values of the kind are secret whatever their Secret says.
func (v *values) secret() bool {
	return v.c.cfg.Kind == string(adapters.Secrets) || v.c.cfg.Kind == string(adapters.State)
}

func (v *values) Keys(ctx context.Context, ns adapters.Namespace) ([]string, error) {
	seen := collected{}
	err := v.c.call(ctx, "list the keys of "+v.c.cfg.Kind, func(ctx context.Context) error {
		stream, err := v.rpc.Keys(ctx, &pb.KeysRequest{Namespace: toNamespace(ns)})
		if err != nil {
			return err
		}
		return pages(stream.Recv, func(page *pb.KeysResponse) error {
			for _, key := range page.Keys {
				if err := seen.add(key, adapters.Value{}); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(seen.values)), nil
}

func (v *values) Load(ctx context.Context, ns adapters.Namespace) (map[string]adapters.Value, error) {
	seen := collected{}
	err := v.c.call(ctx, "load "+v.c.cfg.Kind, func(ctx context.Context) error {
		stream, err := v.rpc.Load(ctx, &pb.LoadRequest{Namespace: toNamespace(ns)})
		if err != nil {
			return err
		}
		return pages(stream.Recv, func(page *pb.LoadResponse) error {
			for _, e := range page.Entries {
				if err := seen.add(e.GetKey(), adapters.Value{Bytes: e.GetValue(), Secret: e.GetSecret()}); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if seen.values == nil {
		return map[string]adapters.Value{}, nil
	}
	return seen.values, nil
}

// pages reads a stream to its end. There cannot be more pages than keys.
func pages[Page any](recv func() (*Page, error), take func(*Page) error) error {
	for range adapters.MaxKeys + 1 {
		page, err := recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(page); err != nil {
			return err
		}
	}
	return fmt.Errorf("it sends without end: more than %d pages", adapters.MaxKeys)
}

// collected is what a plug-in has sent so far.
type collected struct {
	values map[string]adapters.Value
	total  int
}

func (c *collected) add(key string, value adapters.Value) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("it gave a key that is none: %w", err)
	}
	if _, twice := c.values[key]; twice {
		return fmt.Errorf("it gave the key %s twice", hostile.Quote(key))
	}
	if len(c.values) == adapters.MaxKeys {
		return fmt.Errorf("it floods: more than %d keys for one installation", adapters.MaxKeys)
	}
	if len(value.Bytes) > adapters.MaxValue {
		return fmt.Errorf("the value of %s has %d bytes; a value has at most %d", hostile.Quote(key), len(value.Bytes), adapters.MaxValue)
	}
	if c.total += len(value.Bytes); c.total > adapters.MaxTotal {
		return fmt.Errorf("it floods: more than %d bytes for one installation", adapters.MaxTotal)
	}
	if c.values == nil {
		c.values = map[string]adapters.Value{}
	}
	c.values[key] = value
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("it is empty")
	case len(key) > adapters.MaxKey:
		return fmt.Errorf("%s has %d bytes; a key has at most %d", hostile.Quote(key), len(key), adapters.MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%s is not UTF-8", hostile.Quote(key))
	case strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("%s has a control character", hostile.Quote(key))
	}
	return nil
}

// Apply writes the batch, reads it back, and, when it is the first of this process,
// looks whether it shows where nobody wrote it. Others wait meanwhile: a plug-in that is
// written to by somebody else could not be caught lying.
func (v *values) Apply(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	op := "write " + v.c.cfg.Kind
	fail := func(err error) error {
		return &adapters.Error{Adapter: v.c.cfg.adapter(), Op: op, Err: err}
	}
	want, secrets, err := v.check(b)
	if err != nil {
		return fail(err)
	}
	select {
	case v.c.applying <- struct{}{}:
		defer func() { <-v.c.applying }()
	case <-ctx.Done():
		return fail(ended(ctx))
	}
	v.c.told.Store(&secrets)
	err = v.c.call(ctx, op, func(ctx context.Context) error { return v.send(ctx, ns, b) })
	if err != nil || len(b.Changes) == 0 {
		return err
	}
	is, err := v.Load(ctx, ns)
	if err != nil {
		return fail(fmt.Errorf("read back: %w", errors.Unwrap(err)))
	}
	if err := v.compare(want, is); err != nil {
		return fail(err)
	}
	if v.c.apart || len(is) == 0 {
		return nil
	}
	if err := v.lookElsewhere(ctx, ns); err != nil {
		return fail(err)
	}
	v.c.apart = true
	return nil
}

// check gives what is to be after a batch, by key, and the values that no error may
// repeat.
func (v *values) check(b adapters.Batch) (want map[string]adapters.Change, secrets [][]byte, err error) {
	want = map[string]adapters.Change{}
	for _, ch := range b.Changes {
		if err := checkKey(ch.Key); err != nil {
			return nil, nil, fmt.Errorf("not a key: %w", err)
		}
		if len(ch.Value.Bytes) > adapters.MaxValue {
			return nil, nil, fmt.Errorf("the value for %s has %d bytes; a value has at most %d", hostile.Quote(ch.Key), len(ch.Value.Bytes), adapters.MaxValue)
		}
		want[ch.Key] = ch
		if !ch.Delete && (ch.Value.Secret || v.secret()) {
			secrets = append(secrets, ch.Value.Bytes)
		}
	}
	return want, secrets, nil
}

func (v *values) send(ctx context.Context, ns adapters.Namespace, b adapters.Batch) error {
	stream, err := v.rpc.Apply(ctx)
	if err != nil {
		return err
	}
	page := &pb.ApplyRequest{
		Namespace: toNamespace(ns),
		Batch:     &pb.Batch{Id: b.ID, Token: b.Token, Origin: toOrigin(b.Origin)},
	}
	size := 0
	for _, ch := range b.Changes {
		n := len(ch.Key) + len(ch.Value.Bytes) + perEntry
		if size+n > pageSize && size > 0 {
			if err := stream.Send(page); errors.Is(err, io.EOF) {
				break // it has answered already
			} else if err != nil {
				return err
			}
			page, size = &pb.ApplyRequest{}, 0
		}
		size += n
		page.Changes = append(page.Changes, toChange(ch))
	}
	if err := stream.Send(page); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

// compare finds the first key that is not as it was written.
func (v *values) compare(want map[string]adapters.Change, is map[string]adapters.Value) error {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		w := want[key]
		got, there := is[key]
		switch {
		case w.Delete && there:
			return fmt.Errorf("it said that it deleted %s, and still has it", hostile.Quote(key))
		case w.Delete:
		case !there:
			return fmt.Errorf("it said that it stored %s, and does not have it", hostile.Quote(key))
		case !bytes.Equal(got.Bytes, w.Value.Bytes):
			return fmt.Errorf("it said that it stored %s, and has another value for it", hostile.Quote(key))
		case !v.secret() && got.Secret != w.Value.Secret:
			return fmt.Errorf("it said that it stored %s, and does not know any more whether it is secret", hostile.Quote(key))
		}
	}
	return nil
}

// lookElsewhere sees that what is in ns does not show in namespaces that differ in one
// part, which nobody wrote. One that the plug-in refuses to read shows nothing.
func (v *values) lookElsewhere(ctx context.Context, ns adapters.Namespace) error {
	nobody := "nobody-" + rand.Text()
	area := string(ns.Area)
	for _, part := range []struct {
		name string
		is   *string
	}{{"environment", &ns.Env}, {"tenant", &ns.Tenant}, {"team", &ns.Team}, {"provider", &ns.Provider}, {"installation", &ns.Install}, {"area", &area}} {
		before := *part.is
		*part.is = nobody
		ns.Area = adapters.Area(area)
		keys, err := v.Keys(ctx, ns)
		*part.is = before
		switch {
		case ctx.Err() != nil:
			return ended(ctx)
		case v.c.alive() != nil:
			return v.c.alive()
		case errors.Is(err, context.DeadlineExceeded):
			return errors.Unwrap(err)
		case err == nil && len(keys) > 0:
			return fmt.Errorf("it mixes installations: with another %s, that nobody wrote to, it gave %d keys", part.name, len(keys))
		}
	}
	return nil
}
