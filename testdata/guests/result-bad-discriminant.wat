;; behaviour: gives a result that is neither ok nor an error
;; contract: component
;; verdict: trap

(component
  (core module $guest
    (memory (export "memory") 2)
    (data (i32.const 0) "\07")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $guest (instantiate $guest))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
