package sqlstore

// WithSchema gives options for a program whose schema has more steps than this one.
func WithSchema(o Options, more ...func(d *Dialect) []string) Options {
	o.schema = append([]step{}, schema...)
	for _, s := range more {
		o.schema = append(o.schema, s)
	}
	return o
}

// ValueSum is what the sum of a value is made with.
var ValueSum = valueSum
