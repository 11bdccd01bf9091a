;; Uses the state store, with the tenant's context of 19 fields: writes its request
;; to config/provider/region, reads it back, deletes "scratch". It gives what was
;; read, or the code of the first refusal.
(component
  (import "greentic:interfaces-types/types@0.1.0" (instance $types
    (type $i (record (field "actor-id" string) (field "reason" (option string))))
    (export "impersonation" (type $impersonation (eq $i)))
    (type $t (record
      (field "env" string) (field "tenant" string) (field "tenant-id" string) (field "team" (option string))
      (field "team-id" (option string)) (field "user" (option string)) (field "user-id" (option string))
      (field "trace-id" (option string)) (field "i18n-id" (option string)) (field "correlation-id" (option string))
      (field "attributes" (list (tuple string string))) (field "session-id" (option string)) (field "flow-id" (option string))
      (field "node-id" (option string)) (field "provider-id" (option string)) (field "deadline-ms" (option s64))
      (field "attempt" u32) (field "idempotency-key" (option string)) (field "impersonation" (option $impersonation))))
    (export "tenant-ctx" (type $tenant-ctx (eq $t)))
  ))
  (alias export $types "tenant-ctx" (type $tenant-ctx))
  (import "greentic:state/state-store@1.0.0" (instance $store
    (alias outer 1 $tenant-ctx (type $c))
    (export "tenant-ctx" (type $ctx (eq $c)))
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (type $a (enum "ok"))
    (export "op-ack" (type $op-ack (eq $a)))
    (export "read" (func (param "key" string) (param "ctx" (option $ctx)) (result (result (list u8) (error $host-error)))))
    (export "write" (func (param "key" string) (param "bytes" (list u8)) (param "ctx" (option $ctx)) (result (result $op-ack (error $host-error)))))
    (export "delete" (func (param "key" string) (param "ctx" (option $ctx)) (result (result $op-ack (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $read (canon lower (func $store "read") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $write (canon lower (func $store "write") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $delete (canon lower (func $store "delete") (memory $libc "memory") (realloc (func $libc "realloc"))))

  ;; Arguments with a context are passed in memory: at 1024 those of write (key,
  ;; bytes, and the context from 16 on), at 2048 those of read and delete (key, and
  ;; the context from 8 on). The context is there, and empty.
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "read" (func $read (param i32 i32)))
    (import "host" "write" (func $write (param i32 i32)))
    (import "host" "delete" (func $delete (param i32 i32)))
    (data (i32.const 16) "config/provider/region")
    (data (i32.const 48) "scratch")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      (i32.store (i32.const 1024) (i32.const 16))
      (i32.store (i32.const 1028) (i32.const 22))
      (i32.store (i32.const 1032) (local.get $request))
      (i32.store (i32.const 1036) (local.get $len))
      (i32.store8 (i32.const 1040) (i32.const 1))
      (call $write (i32.const 1024) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      (i32.store (i32.const 2048) (i32.const 48))
      (i32.store (i32.const 2052) (i32.const 7))
      (i32.store8 (i32.const 2056) (i32.const 1))
      (call $delete (i32.const 2048) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      (i32.store (i32.const 2048) (i32.const 16))
      (i32.store (i32.const 2052) (i32.const 22))
      (call $read (i32.const 2048) (i32.const 64))
      ;; a list of bytes and the code of an error lie at the same place
      (i32.const 68)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "read" (func $read)) (export "write" (func $write)) (export "delete" (func $delete))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
