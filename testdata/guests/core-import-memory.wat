;; behaviour: imports its memory
;; contract: core
;; verdict: contract_mismatch

(module
  (import "env" "memory" (memory 1))
  (export "memory" (memory 0))
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
