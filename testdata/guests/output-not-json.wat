;; behaviour: answers with text that is not JSON
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "ok, done")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 8)))
