package integrity

// Keys gives the keys in the order of the list.
func (t *Trust) Keys() []Key { return append([]Key(nil), t.keys...) }
