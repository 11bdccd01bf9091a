;; behaviour: asks 200,000 times whether the answer was zero
;; contract: core
;; advisory: wasmtime#12333
;; verdict: ok
;; note: without optimisation the compiler recurses once for each; with it, it sees through the chain first

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32)
    local.get 0
    (@repeat 200000 i32.eqz)
    drop
    (i32.const 0) (i32.const 2)))
