;; behaviour: converts to an integer what is not a number
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.trunc_f64_s (f64.const nan))
    (i32.const 0)))
