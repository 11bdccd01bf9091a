;; behaviour: returns the failure of the contract, with a text that would colour a terminal
;; contract: component
;; verdict: guest_error

(component
  (core module $guest
    (memory (export "memory") 2)
    (data (i32.const 0) "\01\00\00\00" "\20\00\00\00" "\0e\00\00\00" "\40\00\00\00" "\2c\00\00\00")
    (data (i32.const 32) "QUOTA_EXCEEDED")
    (data (i32.const 64) "There is \1b[31mno room\1b[0m left.\r\nverdict: ok")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "run") (param i32 i32) (result i32) (i32.const 0)))
  (core instance $guest (instantiate $guest))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
