;; behaviour: loads from behind its memory
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.load offset=0xfffffff0 (i32.const 0))
    (i32.const 0)))
