;; behaviour: needs a table of 64 million entries, before it runs
;; contract: core
;; verdict: memory_limit or trap

(module
  (memory (export "memory") 1)
  (table 67108864 funcref)
  (func (export "run") (param i32 i32) (result i32 i32) (unreachable)))
