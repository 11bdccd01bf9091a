//go:build !race

package greentic

import "github.com/greentic-ai/greentic-provision/adapters"

const largest = adapters.MaxValue
