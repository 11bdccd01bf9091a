;; Logs its request as telemetry, and gives nothing, or the code of a refusal.
(component
  (import "greentic:telemetry/logger-api@1.0.0" (instance $telemetry
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
    (type $s (record
      (field "tenant" string) (field "session-id" (option string)) (field "flow-id" string) (field "node-id" (option string))
      (field "provider" string) (field "start-ms" (option s64)) (field "end-ms" (option s64))))
    (export "span-context" (type $span-context (eq $s)))
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (type $a (enum "ok"))
    (export "op-ack" (type $op-ack (eq $a)))
    (export "log" (func (param "span" $span-context) (param "fields" (list (tuple string string))) (param "ctx" (option $tenant-ctx)) (result (result $op-ack (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $log (canon lower (func $telemetry "log") (memory $libc "memory") (realloc (func $libc "realloc"))))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "log" (func $log (param i32 i32)))
    (data (i32.const 16) "setup")
    (data (i32.const 32) "text")
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
      (i32.store8 (i32.const 1112) (i32.const 1)) ;; a context, and empty
      (call $log (i32.const 1024) (i32.const 64))
      (if (result i32) (i32.load8_u (i32.const 64)) (then (i32.const 68)) (else (i32.const 4096)))))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "log" (func $log))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
