;; behaviour: grows its memory until that fails, then gives up
;; contract: core
;; verdict: trap or memory_limit

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (unreachable)))
