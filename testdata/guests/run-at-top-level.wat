;; behaviour: exports run, of the right type, but not in the interface
;; contract: component
;; verdict: contract_mismatch

(component
  (core module $guest
    (memory (export "memory") 2)
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $guest (instantiate $guest))

  (type $fields (record (field "code" string) (field "message" string)))
  (export $failure "failure" (type $fields))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (export "run" (func $run)))
