;; behaviour: gives the host a key that lies behind its memory
;; contract: component
;; verdict: trap

(component
  (import "greentic:provision-host/config@1.0.0" (instance $config
    (type $error (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $error)))
    (export "set" (func (param "key" string) (param "value" string) (result (result (error $host-error)))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $set (canon lower (func $config "set")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 80) "true")
    (func (export "run") (param i32 i32) (result i32)
      (call $set (i32.const -16) (i32.const 32) (i32.const 80) (i32.const 4) (i32.const 32))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "set" (func $set))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
