;; behaviour: has its callee move UTF-16 text to an odd address
;; contract: component
;; advisory: CVE-2026-34942
;; verdict: worker_crash
;; note: only the first address that the callee gives is checked; trap where that is fixed

(component
  (component $callee
    (core module $m
      (memory (export "memory") 1)
      (func (export "cabi_realloc") (param $old i32) (param i32 i32 i32) (result i32)
        (select (i32.const 3) (i32.const 2) (local.get $old)))
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
    ;; A and Σ: the second is not in Latin-1.
    (data (i32.const 1024) "\41\00\a3\03")
    (func (export "run") (param i32 i32) (result i32)
      (call $take (i32.const 1024) (i32.const 2))
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
