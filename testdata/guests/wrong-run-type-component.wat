;; behaviour: exports run with another type
;; contract: component
;; verdict: contract_mismatch

(component
  (core module $guest
    (func (export "run") (param i32) (result i32) (local.get 0)))
  (core instance $guest (instantiate $guest))

  (func $run (param "request" u32) (result u32) (canon lift (core func $guest "run")))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "run" (func $run))))
