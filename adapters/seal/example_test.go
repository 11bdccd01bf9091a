package seal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/greentic-ai/greentic-provision/adapters/seal"
)

func Example() {
	dir, err := os.MkdirTemp("", "seal-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	source, err := seal.Parse("file:" + filepath.Join(dir, "identity.txt"))
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := seal.New(seal.Config{Source: source, Create: true})

	ctx := context.Background()
	recipient, err := keys.Recipient(ctx) // a new store asks once and keeps it
	if err != nil {
		fmt.Println(err)
		return
	}
	const here, elsewhere = "secrets provision:dev:acme:_:chat:main token", "secrets provision:dev:other:_:chat:main token"
	sealed, err := keys.Seal(recipient, here, []byte("a value"))
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := keys.Open(ctx, recipient, here, sealed)
	fmt.Println(string(value), err)
	_, err = keys.Open(ctx, recipient, elsewhere, sealed)
	fmt.Println(err)
	// Output:
	// a value <nil>
	// sealed value belongs to another place
}
