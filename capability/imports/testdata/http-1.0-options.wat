;; Sends its request's text to nobody: http 1.0 as it was once published, with options.
;; It gives the message of the refusal, or nothing.
(component
  (import "greentic:http/http-client@1.0.0" (instance $http
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
    (type $q (record (field "method" string) (field "url" string) (field "headers" (list (tuple string string))) (field "body" (option (list u8)))))
    (export "request" (type $request (eq $q)))
    (type $r (record (field "status" u16) (field "headers" (list (tuple string string))) (field "body" (option (list u8)))))
    (export "response" (type $response (eq $r)))
    (type $p (enum "inherit" "disabled"))
    (export "proxy-mode" (type $proxy-mode (eq $p)))
    (type $m (enum "strict" "insecure"))
    (export "tls-mode" (type $tls-mode (eq $m)))
    (type $o (record (field "timeout-ms" (option u64)) (field "proxy" $proxy-mode) (field "tls" $tls-mode)))
    (export "request-options" (type $request-options (eq $o)))
    (export "send" (func (param "req" $request) (param "options" (option $request-options)) (param "ctx" (option $tenant-ctx)) (result (result $response (error $host-error)))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $send (canon lower (func $http "send") (memory $libc "memory") (realloc (func $libc "realloc"))))

  ;; The arguments are passed in memory, at 1024: method, url, no headers, the
  ;; request as body, options from 40 and the context from 72 on, which are there, and empty.
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "send" (func $send (param i32 i32)))
    (data (i32.const 16) "POST")
    (data (i32.const 32) "https://example.invalid/")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      (i32.store (i32.const 1024) (i32.const 16))
      (i32.store (i32.const 1028) (i32.const 4))
      (i32.store (i32.const 1032) (i32.const 32))
      (i32.store (i32.const 1036) (i32.const 24))
      (i32.store8 (i32.const 1048) (i32.const 1))
      (i32.store (i32.const 1052) (local.get $request))
      (i32.store (i32.const 1056) (local.get $len))
      (i32.store8 (i32.const 1064) (i32.const 1))
      (i32.store8 (i32.const 1096) (i32.const 1))
      (call $send (i32.const 1024) (i32.const 64))
      (if (result i32) (i32.load8_u (i32.const 64))
        (then (i32.const 76)) ;; the message is after the flag and the code
        (else (i32.const 4096)))))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "send" (func $send))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
