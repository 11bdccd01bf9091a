;; behaviour: imports the HTTP of WASI, which is not offered
;; contract: component
;; advisory: CVE-2026-27572
;; verdict: contract_mismatch

(component
  (import "wasi:http/types@0.2.6" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $new (canon lower (func $types "[constructor]fields")))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "new" (func $new (result i32)))
    (func (export "run") (param i32 i32) (result i32)
      (loop $again
        (drop (call $new))
        (br $again))
      (unreachable)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "new" (func $new))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
