;; behaviour: passes on UTF-16 text whose end lies behind its memory
;; contract: component
;; advisory: CVE-2026-34941
;; verdict: worker_crash
;; note: the length is held against the memory as if each unit had one byte; trap where that is fixed

(component
  (component $callee
    (core module $m
      (memory (export "memory") 1)
      (func (export "cabi_realloc") (param $old i32) (param i32 i32 i32) (result i32)
        (i32.const 16))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") string-encoding=latin1+utf16
        (memory $i "memory") (realloc (func $i "cabi_realloc")))))
  (instance $callee (instantiate $callee))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $callee "take") string-encoding=utf16 (memory $memory "memory")))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "callee" "take" (func $take (param i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 131056) "A\00A\00A\00A\00A\00A\00A\00A\00")
    (func (export "run") (param i32 i32) (result i32)
      (call $take (i32.const 131056) (i32.const 10))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "callee" (instance
      (export "take" (func $take))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
