;; behaviour: exports nothing
;; contract: component
;; verdict: contract_mismatch

(component)
