;; behaviour: returns a failure whose code and message have 1 MiB each
;; contract: component
;; verdict: guest_error or output_limit
;; note: the message shown must be bounded

(component
  (core module $guest
    (memory (export "memory") 18)
    (data (i32.const 0) "\01\00\00\00" "\00\00\01\00" "\00\00\10\00" "\00\00\01\00" "\00\00\10\00")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32)
      (memory.fill (i32.const 65536) (i32.const 0x41) (i32.const 1048576))
      (i32.const 0)))
  (core instance $guest (instantiate $guest))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
