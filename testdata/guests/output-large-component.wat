;; behaviour: answers with 2 MiB
;; contract: component
;; verdict: output_limit

(component
  (core module $guest
    (memory (export "memory") 33)
    (data (i32.const 4) "\00\00\01\00" "\00\00\20\00")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32)
      (memory.fill (i32.const 65536) (i32.const 0x20) (i32.const 2097152))
      (i32.store16 (i32.const 65536) (i32.const 0x7d7b (;"{}";)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
