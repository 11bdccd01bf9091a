// Package adapterv1 is adapter.proto, the protocol of adapter plug-ins, in Go. Authors
// of plug-ins in Go do not need it: see adapters/plugin.Serve.
//
// The two *.pb.go files are generated and kept with the source, so that building
// needs no protoc. After a change of adapter.proto, with protoc 3.21 or later at hand
// (Debian: protobuf-compiler), run
//
//	go generate ./adapters/plugin/proto
//
// which builds the two generators, in the versions named below, into a folder that it
// removes again.
package adapterv1

//go:generate env GOBIN=$PWD/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
//go:generate env GOBIN=$PWD/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
//go:generate protoc --plugin=bin/protoc-gen-go --plugin=bin/protoc-gen-go-grpc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative adapter.proto
//go:generate rm -r bin
