;; behaviour: passes two flags with a third bit set
;; contract: component
;; advisory: CVE-2026-34943
;; verdict: worker_crash
;; note: the engine looks up the label of each bit; ok where that is fixed

(component
  (import "wasi:filesystem/types@0.2.6" (instance $types
    (type $pair (flags "one" "two"))
    (export "pair" (type $flags (eq $pair)))
    (export "choose" (func (param "flags" $flags) (result (result))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $choose (canon lower (func $types "choose")))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "choose" (func $choose (param i32) (result i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      (drop (call $choose (i32.const 4)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "choose" (func $choose))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
