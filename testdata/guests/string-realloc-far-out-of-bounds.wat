;; behaviour: has its callee move 48 MiB of text to the end of 4 GiB, to be written far behind
;; contract: component
;; advisory: CVE-2026-35195
;; verdict: worker_crash
;; note: what is written last is written first: 96 MiB behind the 4 GiB that are reserved for a memory

(component
  (component $callee
    (core module $m
      (memory (export "memory") 770)
      (func (export "cabi_realloc") (param $old i32) (param i32 i32 i32) (result i32)
        (select (i32.const -2) (i32.const 2) (local.get $old)))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") string-encoding=latin1+utf16
        (memory $i "memory") (realloc (func $i "cabi_realloc")))))
  (instance $callee (instantiate $callee))

  (core module $memory
    (memory (export "memory") 770)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $callee "take") string-encoding=utf8 (memory $memory "memory")))

  (core module $guest
    (import "memory" "memory" (memory 770))
    (import "callee" "take" (func $take (param i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      ;; Spaces, and ┛ at the end, which is not in Latin-1.
      (memory.fill (i32.const 65536) (i32.const 0x20) (i32.const 50331648))
      (i32.store (i32.const 50397180) (i32.const 0x9b94e220))
      (call $take (i32.const 65536) (i32.const 50331648))
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
