;; behaviour: passes a million records of one byte, whose field has a long name
;; contract: component
;; advisory: CVE-2026-27204
;; advisory: GHSA-jqpg-j7w6-42pr
;; verdict: memory_limit
;; note: the host's copy of each record has a copy of the name

(component
  (import "wasi:filesystem/types@0.2.6" (instance $types
    (type $byte (record
      (field "a-name-that-is-cloned-for-each-record-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on-and-so-on" u8)))
    (export "byte" (type $the-byte (eq $byte)))
    (export "take" (func (param "bytes" (list $the-byte)) (result (result))))))

  (core module $memory
    (memory (export "memory") 34)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $types "take") (memory $memory "memory")))

  (core module $guest
    (import "memory" "memory" (memory 34))
    (import "host" "take" (func $take (param i32 i32) (result i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      (drop (call $take (i32.const 131072) (i32.const 1000000)))
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
