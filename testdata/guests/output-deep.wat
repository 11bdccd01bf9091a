;; behaviour: answers with JSON nested 100,000 deep
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 4)
  (data (i32.const 0) "{\"summary\":")
  (func (export "run") (param i32 i32) (result i32 i32)
    (memory.fill (i32.const 11) (i32.const 0x5b (;'[';)) (i32.const 100000))
    (memory.fill (i32.add (i32.const 11) (i32.const 100000)) (i32.const 0x5d (;']';)) (i32.const 100000))
    (i32.store8 (i32.add (i32.const 11) (i32.const 200000)) (i32.const 0x7d (;'}';)))
    (i32.const 0) (i32.add (i32.const 11) (i32.const 200001))))
