;; behaviour: calls an empty table entry
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (func (export "run") (param i32 i32) (result i32 i32)
    (call_indirect (result i32 i32) (i32.const 0))))
