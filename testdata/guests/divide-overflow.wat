;; behaviour: divides the least integer by -1
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.div_s (i32.const 0x80000000) (i32.const -1))
    (i32.const 0)))
