;; Uses secrets as they were before secrets-store: writes its request as "token",
;; reads it, deletes it and gives what was read, or the code of the first refusal.
(component
  (import "greentic:secrets/secret-store@1.0.0" (instance $secrets
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (type $a (enum "ok"))
    (export "op-ack" (type $op-ack (eq $a)))
    (export "read" (func (param "name" string) (result (result (list u8) (error $host-error)))))
    (export "write" (func (param "name" string) (param "bytes" (list u8)) (result (result $op-ack (error $host-error)))))
    (export "delete" (func (param "name" string) (result (result $op-ack (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $read (canon lower (func $secrets "read") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $write (canon lower (func $secrets "write") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $delete (canon lower (func $secrets "delete") (memory $libc "memory") (realloc (func $libc "realloc"))))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "read" (func $read (param i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32 i32)))
    (import "host" "delete" (func $delete (param i32 i32 i32)))
    (data (i32.const 16) "token")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      (call $write (i32.const 16) (i32.const 5) (local.get $request) (local.get $len) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      (call $read (i32.const 16) (i32.const 5) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      (call $delete (i32.const 16) (i32.const 5) (i32.const 128))
      (if (i32.load8_u (i32.const 128)) (then (return (i32.const 132))))
      (i32.const 68)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "read" (func $read)) (export "write" (func $write)) (export "delete" (func $delete))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
