;; behaviour: imports a function into a core module, which may import nothing
;; contract: core
;; verdict: contract_mismatch

(module
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
