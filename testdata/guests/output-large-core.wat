;; behaviour: answers with 2 MiB
;; contract: core
;; verdict: output_limit

(module
  (memory (export "memory") 32)
  (func (export "run") (param i32 i32) (result i32 i32)
    (memory.fill (i32.const 0) (i32.const 0x20) (i32.const 2097152))
    (i32.store16 (i32.const 0) (i32.const 0x7d7b (;"{}";)))
    (i32.const 0) (i32.const 2097152)))
