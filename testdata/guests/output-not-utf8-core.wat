;; behaviour: answers with bytes that are not UTF-8
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"summary\":\"\ff\fe\"}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 16)))
