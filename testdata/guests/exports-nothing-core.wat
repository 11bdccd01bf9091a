;; behaviour: exports nothing
;; contract: core
;; verdict: contract_mismatch

(module)
