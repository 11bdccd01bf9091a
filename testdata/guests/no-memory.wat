;; behaviour: exports run but no memory
;; contract: core
;; verdict: contract_mismatch

(module
  (func (export "run") (param i32 i32) (result i32 i32)
    (i32.const 0) (i32.const 0)))
