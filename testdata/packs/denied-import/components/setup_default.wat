;; Imports an interface that nobody offers, and would be a correct step if
;; someone did. The pack must be refused before its start function runs: that
;; one loops for ever.
(component
  (import "example:nobody/offers-this@1.0.0" (instance $nobody
    (export "call" (func))))
  (core func $call (canon lower (func $nobody "call")))

  (core module $step
    (import "nobody" "call" (func))
    (memory (export "memory") 2)
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func $start (loop $again (br $again)))
    (start $start)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $step (instantiate $step (with "nobody" (instance (export "call" (func $call))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $step "run")
      (memory $step "memory") (realloc (func $step "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
