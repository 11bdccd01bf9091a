;; behaviour: needs more memory than it may have, before it runs
;; contract: core
;; verdict: memory_limit or trap

(module
  (memory (export "memory") 65536)
  (func (export "run") (param i32 i32) (result i32 i32) (unreachable)))
