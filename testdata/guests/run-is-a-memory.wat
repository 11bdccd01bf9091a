;; behaviour: exports a memory where run should be
;; contract: core
;; verdict: contract_mismatch

(module
  (memory (export "memory") (export "run") 1))
