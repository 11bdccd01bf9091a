;; Sends its request, a JSON text, to the route "ops", and gives nothing, or the
;; code of a refusal.
(component
  (import "greentic:messaging/session-api@1.0.0" (instance $session
    (type $i (record (field "actor-id" string) (field "reason" (option string))))
    (export "impersonation" (type $impersonation (eq $i)))
    (type $t (record
      (field "env" string) (field "tenant" string) (field "tenant-id" string) (field "team" (option string))
      (field "team-id" (option string)) (field "user" (option string)) (field "user-id" (option string))
      (field "trace-id" (option string)) (field "correlation-id" (option string))
      (field "attributes" (list (tuple string string))) (field "session-id" (option string)) (field "flow-id" (option string))
      (field "node-id" (option string)) (field "provider-id" (option string)) (field "deadline-ms" (option s64))
      (field "attempt" u32) (field "idempotency-key" (option string)) (field "impersonation" (option $impersonation))))
    (export "tenant-ctx" (type $tenant-ctx (eq $t)))
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (type $a (enum "ok"))
    (export "op-ack" (type $op-ack (eq $a)))
    (type $m (record (field "route" (option string)) (field "payload-json" string) (field "attachments" (option (list (list u8))))))
    (export "outbound-message" (type $outbound-message (eq $m)))
    (export "send" (func (param "message" $outbound-message) (param "ctx" $tenant-ctx) (result (result $op-ack (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $send (canon lower (func $session "send") (memory $libc "memory") (realloc (func $libc "realloc"))))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "send" (func $send (param i32 i32)))
    (data (i32.const 16) "ops")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 1024) (i32.const 1))
      (i32.store (i32.const 1028) (i32.const 16))
      (i32.store (i32.const 1032) (i32.const 3))
      (i32.store (i32.const 1036) (local.get $request))
      (i32.store (i32.const 1040) (local.get $len))
      (call $send (i32.const 1024) (i32.const 64)) ;; no attachments, an empty context
      (if (result i32) (i32.load8_u (i32.const 64)) (then (i32.const 68)) (else (i32.const 4096)))))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "send" (func $send))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
