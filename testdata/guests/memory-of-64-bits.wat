;; behaviour: has a memory with 64-bit addresses, a feature that is off
;; contract: core
;; verdict: compile_failed

(module
  (memory (export "memory") i64 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
