;; greentic:component/node 0.6, with describe. The operation context tells what it was called with, error returns
;; a node error, fail an output that is not ok, nothing an empty one, trap traps; every other one gives the
;; payload back.
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
    ;; the description
    (data (i32.const 540) "node-0.6")
    (data (i32.const 548) "0.1.0")
    (data (i32.const 553) "tells what it was called with")
    (data (i32.const 582) "host:none")
    (data (i32.const 592) "F\02\00\00\09\00\00\00")
    (data (i32.const 600) "context")
    (data (i32.const 607) "\a1dkindfobject")
    (data (i32.const 620) "application/cbor")
    (data (i32.const 636) "urn:example:context")
    (data (i32.const 655) "application/cbor")
    (data (i32.const 671) "nothing")
    (data (i32.const 678) "\a0")
    (data (i32.const 679) "\82\01!")
    (data (i32.const 684) "\9f\02\00\00\07\00\00\00\a6\02\00\00\01\00\00\00\a7\02\00\00\03\00\00\00")
    (data (i32.const 708) "X\02\00\00\07\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00_\02\00\00\0d\00\00\00"
      "l\02\00\00\10\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\03\00\00\00|\02\00\00\13\00\00\00"
      "\8f\02\00\00\10\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\ac\02\00\00\01\00\00\00")
    (data (i32.const 800) "context")
    (data (i32.const 807) "application/octet-stream")
    (data (i32.const 831) "")
    (data (i32.const 831) "1")
    (data (i32.const 832) "\00\ff")
    (data (i32.const 836) " \03\00\00\07\00\00\00'\03\00\00\18\00\00\00?\03\00\00\00\00\00\00?\03\00\00\01\00\00\00\01\00"
      "\00\00@\03\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 892) "\a1iquestions\80")
    (data (i32.const 904) "answers")
    (data (i32.const 911) "none")
    (data (i32.const 915) "\a0")
    (data (i32.const 916) "\8f\03\00\00\04\00\00\00\93\03\00\00\01\00\00\00")
    (data (i32.const 932) "t")
    (data (i32.const 936) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\a4\03\00"
      "\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 984) "\1c\02\00\00\08\00\00\00$\02\00\00\05\00\00\00\01\00\00\00)\02\00\00\1d\00\00\00P\02\00\00\01"
      "\00\00\00\c4\02\00\00\01\00\00\00D\03\00\00\01\00\00\00\01\00\00\00\01\00\00\00|\03\00\00\0c"
      "\00\00\00\00\00\00\00\88\03\00\00\07\00\00\00\94\03\00\00\01\00\00\00\a8\03\00\00\02\00\00\00")
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
      (i32.const 32))
    (func (export "describe") (result i32) (i32.const 984)))
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
  (type $schema-source (variant
    (case "cbor-schema-id" string) (case "inline-cbor" (list u8)) (case "ref-pack-path" string)
    (case "ref-uri" string)))
  (type $io-schema (record
    (field "schema" $schema-source) (field "content-type" string)
    (field "schema-version" (option string))))
  (type $example (record
    (field "title" string) (field "input-cbor" (list u8)) (field "output-cbor" (list u8))))
  (type $op (record
    (field "name" string) (field "summary" (option string)) (field "input" $io-schema)
    (field "output" $io-schema) (field "examples" (list $example))))
  (type $schema-ref (record
    (field "id" string) (field "content-type" string) (field "blake3-hash" string)
    (field "version" string) (field "bytes" (option (list u8))) (field "uri" (option string))))
  (type $setup-example (record (field "title" string) (field "answers-cbor" (list u8))))
  (type $setup-template-scaffold (record (field "template-ref" string) (field "output-layout" (option string))))
  (type $setup-output (variant (case "config-only") (case "template-scaffold" $setup-template-scaffold)))
  (type $setup-contract (record
    (field "qa-spec" $schema-source) (field "answers-schema" $schema-source)
    (field "examples" (list $setup-example)) (field "outputs" (list $setup-output))))
  (type $component-descriptor (record
    (field "name" string) (field "version" string) (field "summary" (option string))
    (field "capabilities" (list string)) (field "ops" (list $op)) (field "schemas" (list $schema-ref))
    (field "setup" (option $setup-contract))))
  (func $describe (result $component-descriptor)
    (canon lift (core func $guest "describe") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $invoke (param "op" string) (param "envelope" $invocation-envelope) (result (result $invocation-result (error $node-error)))
    (canon lift (core func $guest "invoke") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/node@0.6.0")
    (export "tenant-ctx" (type $tenant-ctx))
    (export "invocation-envelope" (type $invocation-envelope))
    (export "invocation-result" (type $invocation-result))
    (export "node-error" (type $node-error))
    (export "schema-source" (type $schema-source))
    (export "io-schema" (type $io-schema))
    (export "example" (type $example))
    (export "op" (type $op))
    (export "schema-ref" (type $schema-ref))
    (export "setup-example" (type $setup-example))
    (export "setup-template-scaffold" (type $setup-template-scaffold))
    (export "setup-output" (type $setup-output))
    (export "setup-contract" (type $setup-contract))
    (export "component-descriptor" (type $component-descriptor))
    (export "describe" (func $describe))
    (export "invoke" (func $invoke))))
