;; behaviour: divides an integer by zero
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.div_u (i32.const 1) (i32.load (i32.const 0)))
    (i32.const 0)))
