;; behaviour: says that its answer lies behind its memory
;; contract: core
;; verdict: guest_error
;; note: pointer plus size wraps around

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const -16) (i32.const 32)))
