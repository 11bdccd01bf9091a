;; behaviour: imports an interface that nobody offers
;; contract: component
;; verdict: contract_mismatch
;; limits: step-timeout=500ms
;; note: its start function loops: the verdict shows that no guest code ran

(component
  (import "example:nobody/offers-this@1.0.0" (instance $nobody
    (export "call" (func))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $call (canon lower (func $nobody "call")))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "call" (func $call))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func $start (loop $again (br $again)))
    (start $start)
    (func (export "run") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "call" (func $call))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
