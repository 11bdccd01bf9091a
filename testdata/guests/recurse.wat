;; behaviour: calls itself until the stack is used up
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func $down (param $n i64) (result i64)
    (i64.add (local.get $n) (call $down (i64.add (local.get $n) (i64.const 1)))))
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.wrap_i64 (call $down (i64.const 0)))
    (i32.const 0)))
