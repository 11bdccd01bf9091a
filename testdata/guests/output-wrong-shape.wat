;; behaviour: answers with a list where the plan has an object
;; contract: core
;; verdict: guest_error

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"plan\":{\"config_patch\":[]}}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 28)))
