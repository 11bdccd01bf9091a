;; Uses the oldest of Greentic's host interfaces: sets the state "note" to its
;; request, emits it as telemetry, and gives what it gets back, or the code of a
;; refusal.
(component
  (import "greentic:interfaces-host/imports@0.1.0" (instance $host
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
    (type $s (record
      (field "tenant" string) (field "session-id" (option string)) (field "flow-id" string) (field "node-id" (option string))
      (field "provider" string) (field "start-ms" (option s64)) (field "end-ms" (option s64))))
    (export "span-context" (type $span-context (eq $s)))
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (type $a (enum "ok"))
    (export "op-ack" (type $op-ack (eq $a)))
    (export "telemetry-emit" (func (param "span" $span-context) (param "fields" (list (tuple string string)))))
    (export "state-get" (func (param "key" string) (param "ctx" (option $tenant-ctx)) (result (result string (error $host-error)))))
    (export "state-set" (func (param "key" string) (param "value" string) (param "ctx" (option $tenant-ctx)) (result (result $op-ack (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $emit (canon lower (func $host "telemetry-emit") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $get (canon lower (func $host "state-get") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $set (canon lower (func $host "state-set") (memory $libc "memory") (realloc (func $libc "realloc"))))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "emit" (func $emit (param i32)))
    (import "host" "get" (func $get (param i32 i32)))
    (import "host" "set" (func $set (param i32 i32)))
    (data (i32.const 16) "setup")
    (data (i32.const 32) "text")
    (data (i32.const 48) "note")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      ;; the span: its flow at 20, then 80 bytes in all; fields: one pair, at 512
      (i32.store (i32.const 1044) (i32.const 16))
      (i32.store (i32.const 1048) (i32.const 5))
      (i32.store (i32.const 512) (i32.const 32))
      (i32.store (i32.const 516) (i32.const 4))
      (i32.store (i32.const 520) (local.get $request))
      (i32.store (i32.const 524) (local.get $len))
      (i32.store (i32.const 1104) (i32.const 512))
      (i32.store (i32.const 1108) (i32.const 1))
      (call $emit (i32.const 1024))
      ;; key and value at 2048, without a context
      (i32.store (i32.const 2048) (i32.const 48))
      (i32.store (i32.const 2052) (i32.const 4))
      (i32.store (i32.const 2056) (local.get $request))
      (i32.store (i32.const 2060) (local.get $len))
      (call $set (i32.const 2048) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      ;; a key at 3072, without a context
      (i32.store (i32.const 3072) (i32.const 48))
      (i32.store (i32.const 3076) (i32.const 4))
      (call $get (i32.const 3072) (i32.const 64))
      (i32.const 68)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "emit" (func $emit)) (export "get" (func $get)) (export "set" (func $set))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
