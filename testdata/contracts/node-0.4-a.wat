;; greentic:component/node, the shape of 0.4. The operation context tells what it was called with, error returns
;; a node error, trap traps; every other one gives the input back.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the result of error
    (data (i32.const 256) "QUOTA_EXCEEDED")
    (data (i32.const 270) "there is no room left")
    (data (i32.const 291) "{\22left\22:0}")
    (data (i32.const 304) "\01\00\00\00\00\00\00\00\00\01\00\00\0e\00\00\00\0e\01\00\00\15\00\00\00\01\00\00\00\00\00\00"
      "\00\01\00\00\00\00\00\00\00\dc\05\00\00\00\00\00\00\01\00\00\00#\01\00\00\0a\00\00\00\00\00\00"
      "\00")
    ;; the manifest
    (data (i32.const 368) "{\22component\22:{\22name\22:\22node-0.4-a\22,\22version\22:\220.1.0\22}}")
    (data (i32.const 424) "p\01\00\005\00\00\00")
    ;; what context says, in pieces
    (data (i32.const 432) "{\22flow\22:\22")
    (data (i32.const 441) "\22,\22tenant\22:\22")
    (data (i32.const 453) "\22,\22node\22:\22")
    (data (i32.const 463) "\22,\22team\22:\22")
    (data (i32.const 473) "\22,\22locale\22:\22")
    (data (i32.const 485) "\22}")
    (global $top (mut i32) (i32.const 65536))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))))))
      (local.get $at))
    ;; What is being said: a piece more of it, and where it is as (pointer, length).
    (global $end (mut i32) (i32.const 32768))
    (func $say (param $at i32) (param $len i32)
      (memory.copy (global.get $end) (local.get $at) (local.get $len))
      (global.set $end (i32.add (global.get $end) (local.get $len))))
    (func $said (param $pair i32) (result i32)
      (i32.store (local.get $pair) (i32.const 32768))
      (i32.store offset=4 (local.get $pair) (i32.sub (global.get $end) (i32.const 32768)))
      (local.get $pair))
    (func $text (param $at i32)
      (call $say (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))))
    (func $maybe (param $at i32)
      (if (i32.load8_u (local.get $at)) (then (call $text (i32.add (local.get $at) (i32.const 4))))))
    ;; The arguments are in memory: the context first, op at 112, input at 120. The result, a variant, is
    ;; at 32: its case, and eight bytes on what is in it.
    (func (export "invoke") (param $ctx i32) (result i32)
      (local $op i32)
      (local.set $op (i32.load8_u (i32.load offset=112 (local.get $ctx))))
      (if (i32.eq (local.get $op) (i32.const 0x65)) ;; error
        (then (return (i32.const 304))))
      (if (i32.eq (local.get $op) (i32.const 0x74)) ;; trap
        (then (unreachable)))
      (if (i32.eq (local.get $op) (i32.const 0x63)) ;; context
        (then
          (call $say (i32.const 432) (i32.const 9))
          (call $text (i32.add (local.get $ctx) (i32.const 88))) ;; flow
          (call $say (i32.const 441) (i32.const 12))
          (call $text (i32.add (local.get $ctx) (i32.const 0))) ;; tenant
          (call $say (i32.const 453) (i32.const 10))
          (call $maybe (i32.add (local.get $ctx) (i32.const 96))) ;; node
          (call $say (i32.const 463) (i32.const 10))
          (call $maybe (i32.add (local.get $ctx) (i32.const 8))) ;; team
          (call $say (i32.const 485) (i32.const 2)))
        (else (call $text (i32.add (local.get $ctx) (i32.const 120)))))
      (i32.store8 (i32.const 32) (i32.const 0))
      (drop (call $said (i32.const 40)))
      (i32.const 32))
    (func (export "get-manifest") (result i32) (i32.const 424)))
  (core instance $guest (instantiate $guest))

  (type $tenant-ctx (record
    (field "tenant" string) (field "team" (option string)) (field "user" (option string))
    (field "trace-id" (option string)) (field "correlation-id" (option string))
    (field "deadline-unix-ms" (option u64)) (field "attempt" u32)
    (field "idempotency-key" (option string))))
  (type $exec-ctx (record
    (field "tenant" $tenant-ctx) (field "flow-id" string) (field "node-id" (option string))))
  (type $node-error (record
    (field "code" string) (field "message" string) (field "retryable" bool)
    (field "backoff-ms" (option u64)) (field "details" (option string))))
  (type $invoke-result (variant (case "ok" string) (case "err" $node-error)))
  (func $get-manifest (result string)
    (canon lift (core func $guest "get-manifest") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $invoke (param "ctx" $exec-ctx) (param "op" string) (param "input" string) (result $invoke-result)
    (canon lift (core func $guest "invoke") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/node@0.4.0")
    (export "tenant-ctx" (type $tenant-ctx))
    (export "exec-ctx" (type $exec-ctx))
    (export "node-error" (type $node-error))
    (export "invoke-result" (type $invoke-result))
    (export "get-manifest" (func $get-manifest))
    (export "invoke" (func $invoke))))
