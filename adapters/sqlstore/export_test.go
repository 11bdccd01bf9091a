package sqlstore

import "github.com/greentic-ai/greentic-provision/adapters"

// WithSchema gives options for a program whose schema has more steps than this one.
func WithSchema(o Options, more ...func(d *Dialect) []string) Options {
	o.schema = append([]step{}, schema...)
	for _, s := range more {
		o.schema = append(o.schema, s)
	}
	return o
}

// ValueSum gives the sum of a stored value.
func ValueSum(ns adapters.Namespace, kind adapters.Kind, key string, value []byte) string {
	at, _ := spotOf(ns, kind)
	return valueSum(at, key, value)
}
