// Package storetest is what every implementation of adapters.Values and of
// adapters.Store must do, as tests. A package's own test hands itself over:
//
//	func TestConformance(t *testing.T) {
//		storetest.Values(t, func(t *testing.T) adapters.Values { return open(t, t.TempDir()) },
//			storetest.Kind(adapters.Config), storetest.JSON())
//	}
//
// Formats that cannot hold every key, value or namespace say so with Options; then
// the same tests run with what they can hold.
package storetest
