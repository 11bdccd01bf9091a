;; behaviour: answers with half of a surrogate pair
;; contract: core
;; verdict: guest_error or ok
;; note: what becomes of it must still be valid UTF-8

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"summary\":\"\\ud800\"}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 20)))
