;; behaviour: calls through a table with the wrong type
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (table funcref (elem $takes-nothing))
  (func $takes-nothing)
  (func (export "run") (param i32 i32) (result i32 i32)
    (call_indirect (param i32) (result i32 i32) (i32.const 1) (i32.const 0))))
