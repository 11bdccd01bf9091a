;; behaviour: imports the WASI of before components
;; contract: core
;; advisory: GHSA-3p27-qvp9-27qf
;; verdict: contract_mismatch

(module
  (import "wasi_snapshot_preview1" "fd_renumber" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32) (i32.const 0) (i32.const 0)))
