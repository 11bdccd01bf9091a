package probe

import (
	"errors"
	"fmt"
	"testing"

	"github.com/greentic-ai/greentic-provision/limits"
)

func TestConclusiveAnswersAreKept(t *testing.T) {
	broken := errors.New("broken")
	unsupported := fmt.Errorf("no: %w", limits.ErrUnsupported)
	for _, tt := range []struct {
		name    string
		answers []error
		want    []error
		asked   int
	}{
		{"supported", []error{nil, broken}, []error{nil, nil}, 1},
		{"unsupported", []error{unsupported, nil}, []error{unsupported, unsupported}, 1},
		{"not known, then supported", []error{broken, nil, broken}, []error{broken, nil, nil}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			f := feature{ask: func() error { asked++; return tt.answers[asked-1] }}
			for i, want := range tt.want {
				if got := f.get(); got != want {
					t.Errorf("answer %d: %v, want %v", i, got, want)
				}
			}
			if asked != tt.asked {
				t.Errorf("asked %d times, want %d", asked, tt.asked)
			}
		})
	}
}
