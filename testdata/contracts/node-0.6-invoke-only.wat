;; greentic:component/node 0.6, with invoke alone. The operation context tells what it was called with, error
;; returns a node error, fail an output that is not ok, nothing an empty one, trap traps; every other one gives
;; the payload back.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the result of error
    (data (i32.const 256) "QUOTA_EXCEEDED")
    (data (i32.const 270) "there is no room left")
    (data (i32.const 291) "\a1dleft\00")
    (data (i32.const 304) "\01\00\00\00\00\00\00\00\00\01\00\00\0e\00\00\00\0e\01\00\00\15\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00#\01\00\00\07\00\00\00\00\00\00"
      "\00")
    ;; the results of fail and of nothing
    (data (i32.const 368) "\a1cwhyfclosed")
    (data (i32.const 384) "\00\00\00\00\00\00\00\00\00\00\00\00p\01\00\00\0c\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00"
      "\00")
    (data (i32.const 448) "")
    (data (i32.const 448) "\00\00\00\00\00\00\00\00\01\00\00\00\c0\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00"
      "\00\00")
    ;; the keys of what context says
    (data (i32.const 512) "dflow")
    (data (i32.const 517) "dstep")
    (data (i32.const 522) "ftenant")
    (data (i32.const 529) "cenv")
    (data (i32.const 533) "flocale")
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
    (func $byte (param $b i32)
      (i32.store8 (global.get $end) (local.get $b))
      (global.set $end (i32.add (global.get $end) (i32.const 1))))
    (func $said (param $pair i32) (result i32)
      (i32.store (local.get $pair) (i32.const 32768))
      (i32.store offset=4 (local.get $pair) (i32.sub (global.get $end) (i32.const 32768)))
      (local.get $pair))
    ;; A CBOR text of up to 255 bytes.
    (func $text (param $at i32)
      (call $byte (i32.const 0x78))
      (call $byte (i32.load offset=4 (local.get $at)))
      (call $say (i32.load (local.get $at)) (i32.load offset=4 (local.get $at))))
    ;; The arguments are in memory: op, and the envelope with its payload at 124. The result is at 32: its case,
    ;; eight bytes on the flag, and four more on the output.
    (func (export "invoke") (param $args i32) (result i32)
      (local $op i32)
      (local.set $op (i32.load8_u (i32.load (local.get $args))))
      (if (i32.eq (local.get $op) (i32.const 0x65)) ;; error
        (then (return (i32.const 304))))
      (if (i32.eq (local.get $op) (i32.const 0x66)) ;; fail
        (then (return (i32.const 384))))
      (if (i32.eq (local.get $op) (i32.const 0x6e)) ;; nothing
        (then (return (i32.const 448))))
      (if (i32.eq (local.get $op) (i32.const 0x74)) ;; trap
        (then (unreachable)))
      (if (i32.eq (local.get $op) (i32.const 0x63)) ;; context
        (then
          (call $byte (i32.const 0xbf)) ;; a map that a break ends
          (call $say (i32.const 512) (i32.const 5))
          (call $text (i32.add (local.get $args) (i32.const 96))) ;; flow-id
          (call $say (i32.const 517) (i32.const 5))
          (call $text (i32.add (local.get $args) (i32.const 104))) ;; step-id
          (call $say (i32.const 522) (i32.const 7))
          (call $text (i32.add (local.get $args) (i32.const 8))) ;; tenant-id
          (call $say (i32.const 529) (i32.const 4))
          (call $text (i32.add (local.get $args) (i32.const 40))) ;; env-id
          (call $say (i32.const 533) (i32.const 7))
          (call $text (i32.add (local.get $args) (i32.const 88))) ;; i18n-id
          (call $byte (i32.const 0xff)))
        (else (call $say (i32.load offset=124 (local.get $args)) (i32.load offset=128 (local.get $args)))))
      (i32.store8 (i32.const 32) (i32.const 0))
      (i32.store8 (i32.const 40) (i32.const 1))
      (drop (call $said (i32.const 44)))
      (i32.store8 (i32.const 52) (i32.const 0))
      (i32.const 32)))
  (core instance $guest (instantiate $guest))

  (type $tenant-ctx (record
    (field "tenant-id" string) (field "team-id" (option string)) (field "user-id" (option string))
    (field "env-id" string) (field "trace-id" string) (field "correlation-id" string)
    (field "deadline-ms" u64) (field "attempt" u32) (field "idempotency-key" (option string))
    (field "i18n-id" string)))
  (type $invocation-envelope (record
    (field "ctx" $tenant-ctx) (field "flow-id" string) (field "step-id" string)
    (field "component-id" string) (field "attempt" u32) (field "payload-cbor" (list u8))
    (field "metadata-cbor" (option (list u8)))))
  (type $invocation-result (record
    (field "ok" bool) (field "output-cbor" (list u8)) (field "output-metadata-cbor" (option (list u8)))))
  (type $node-error (record
    (field "code" string) (field "message" string) (field "retryable" bool)
    (field "backoff-ms" (option u64)) (field "details" (option (list u8)))))
  (func $invoke (param "op" string) (param "envelope" $invocation-envelope) (result (result $invocation-result (error $node-error)))
    (canon lift (core func $guest "invoke") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/node@0.6.0")
    (export "tenant-ctx" (type $tenant-ctx))
    (export "invocation-envelope" (type $invocation-envelope))
    (export "invocation-result" (type $invocation-result))
    (export "node-error" (type $node-error))
    (export "invoke" (func $invoke))))
