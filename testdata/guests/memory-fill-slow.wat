;; behaviour: fills memory with single instructions that each take long
;; contract: core
;; verdict: deadline
;; limits: step-timeout=500ms

(module
  (memory (export "memory") 512)
  ;; memory.fill is one instruction; a deadline is looked at between instructions.
  (func (export "run") (param i32 i32) (result i32 i32)
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))
      (br $again))
    (unreachable)))
