;; behaviour: has blocks nested 50,000 deep
;; contract: core
;; verdict: ok or compile_failed

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (@repeat 50000 block)
    (@repeat 50000 end)
    (i32.const 0) (i32.const 2)))
