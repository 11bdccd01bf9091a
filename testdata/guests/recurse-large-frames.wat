;; behaviour: calls itself with 1,000 parameters until the stack is used up
;; contract: core
;; verdict: trap

(module
  (memory (export "memory") 1)
  (func $down (param (@repeat 1000 i32)) (result i32)
    (i32.add (local.get 999)
      (call $down (@repeat 1000 (i32.add (local.get #) (local.get 1))))))
  (func (export "run") (param i32 i32) (result i32 i32)
    (call $down (@repeat 1000 (local.get 0)))
    (i32.const 0)))
