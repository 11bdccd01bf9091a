;; behaviour: answers with JSON that is not an object
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "[]")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 2)))
