;; behaviour: passes 48 MiB of bytes, which the engine turns into values of 32 bytes each
;; contract: component
;; advisory: CVE-2026-27204
;; verdict: memory_limit

(component
  (import "greentic:provision-host/secrets@1.0.0" (instance $secrets
    (type $error (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $error)))
    (export "put" (func (param "key" string) (param "value" (list u8)) (result (result (error $host-error)))))))

  (core module $memory
    (memory (export "memory") 770)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $put (canon lower (func $secrets "put")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 770))
    (import "host" "put" (func $put (param i32 i32 i32 i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 64) "KEY")
    (func (export "run") (param i32 i32) (result i32)
      (call $put (i32.const 64) (i32.const 3) (i32.const 131072) (i32.const 50331648) (i32.const 32))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "put" (func $put))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
