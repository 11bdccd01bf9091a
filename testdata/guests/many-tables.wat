;; behaviour: has 100 tables of a million entries
;; contract: core
;; verdict: memory_limit or trap

(module
  (@repeat 100 (table 1000000 funcref))
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32) (i32.const 0) (i32.const 2)))
