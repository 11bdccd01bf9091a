;; behaviour: has a memory for threads to share, a feature that is off
;; contract: core
;; verdict: compile_failed

(module
  (memory (export "memory") 1 1 shared)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
