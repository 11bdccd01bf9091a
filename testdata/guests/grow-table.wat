;; behaviour: grows a table until that fails, then gives up
;; contract: core
;; verdict: trap or memory_limit

(module
  (memory (export "memory") 1)
  (table $t 0 funcref)
  (func (export "run") (param i32 i32) (result i32 i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1))))
    (unreachable)))
