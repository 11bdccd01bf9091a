;; behaviour: has a function whose body does not fit its type
;; contract: core
;; verdict: compile_failed

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0)))
