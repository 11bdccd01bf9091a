;; behaviour: answers with a number beyond every float64
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"plan\":{\"config_patch\":{\"n\":1e999}}}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 37)))
