;; behaviour: makes resources of its own for ever and drops none
;; contract: component
;; advisory: CVE-2026-119134
;; verdict: memory_limit
;; note: the engine's table of handles is held against no limit but that of the process

(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))

  (core module $guest
    (import "thing" "new" (func $new (param i32) (result i32)))
    (func (export "run") (param i32 i32) (result i32)
      (loop $again
        (drop (call $new (i32.const 1)))
        (br $again))
      (unreachable)))
  (core instance $guest (instantiate $guest
    (with "thing" (instance
      (export "new" (func $new))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
