;; behaviour: passes 7.8 million empty lists, which take 8 bytes each here and 71 in the host
;; contract: component
;; advisory: CVE-2026-27204
;; verdict: memory_limit

(component
  (import "wasi:filesystem/types@0.2.6" (instance $types
    (export "take" (func (param "lists" (list (list u8))) (result (result))))))

  (core module $memory
    (memory (export "memory") 960)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $types "take") (memory $memory "memory")))

  (core module $guest
    (import "memory" "memory" (memory 960))
    (import "host" "take" (func $take (param i32 i32) (result i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      (drop (call $take (i32.const 131072) (i32.const 7800000)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "take" (func $take))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
