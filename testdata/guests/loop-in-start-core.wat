;; behaviour: loops for ever in its start function, before anyone calls it
;; contract: core
;; verdict: deadline
;; limits: step-timeout=500ms

(module
  (memory (export "memory") 1)
  (func $start (loop $again (br $again)))
  (start $start)
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
