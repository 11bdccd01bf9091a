;; behaviour: exports run with another type
;; contract: core
;; verdict: contract_mismatch

(module
  (memory (export "memory") 1)
  (func (export "run") (param i32) (result i32) (local.get 0)))
