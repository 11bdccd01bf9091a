;; The whole flow as one component: the request says which step is wanted. Every
;; answer is the one that ../noop-provision gives.
(component
  (import "greentic:provision-host/config@1.0.0" (instance $config
    (type $error (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $error)))
    (export "set" (func (param "key" string) (param "value" string) (result (result (error $host-error)))))))
  (import "greentic:provision-host/secrets@1.0.0" (instance $secrets
    (type $error (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $error)))
    (export "put" (func (param "key" string) (param "value" (list u8)) (result (result (error $host-error)))))))

  ;; The memory stands alone because both sides need it: the step, and the host
  ;; functions that the step imports.
  (core module $memory
    (memory (export "memory") 1)
    ;; Where the caller puts strings: behind everything, in pages of their own.
    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (i32.mul (i32.const 65536)
        (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))))
  (core instance $memory (instantiate $memory))

  (core func $config.set (canon lower (func $config "set")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $secrets.put (canon lower (func $secrets "put")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $step
    (import "memory" "memory" (memory 1))
    ;; Each takes two strings (pointer and size) and where to put its result.
    (import "host" "config.set" (func $config.set (param i32 i32 i32 i32 i32)))
    (import "host" "secrets.put" (func $secrets.put (param i32 i32 i32 i32 i32)))

    ;; What run points to, a result<string, failure>. Four answers: ok, a text, its size.
    (data (i32.const 0) "\00\00\00\00" "\00\04\00\00" "\48\01\00\00")
    (data (i32.const 16) "\00\00\00\00" "\00\06\00\00" "\6a\00\00\00")
    (data (i32.const 32) "\00\00\00\00" "\00\07\00\00" "\d5\00\00\00")
    (data (i32.const 48) "\00\00\00\00" "\00\09\00\00" "\49\00\00\00")
    ;; Two failures, a code and a message each; the first has its message from the host.
    (data (i32.const 64) "\01\00\00\00" "\a0\00\00\00" "\0c\00\00\00")
    (data (i32.const 96) "\01\00\00\00" "\b0\00\00\00" "\0c\00\00\00" "\c0\00\00\00" "\37\00\00\00")
    ;; At 128: the result<_, host-error> of a host call, 20 bytes.
    (data (i32.const 160) "HOST_REFUSED")
    (data (i32.const 176) "UNKNOWN_STEP")
    (data (i32.const 192) "The fixture knows collect, validate, apply and summary.")

    (data (i32.const 256) "\"step\":\"")
    (data (i32.const 272) "collect\"")
    (data (i32.const 288) "validate\"")
    (data (i32.const 304) "apply\"")
    (data (i32.const 320) "summary\"")

    (data (i32.const 512) "noop.endpoint")
    (data (i32.const 544) "\"https://noop.invalid/\"")
    (data (i32.const 576) "NOOP_SIGNING_KEY")
    (data (i32.const 608) "fixture-signing-key")

    (data (i32.const 1024)
      "{\"questions\":{"
      "\"type\":\"AdaptiveCard\","
      "\"version\":\"1.5\","
      "\"body\":["
      "{\"type\":\"TextBlock\",\"text\":\"Settings of the fixture\"},"
      "{\"type\":\"Input.Text\",\"id\":\"region\",\"label\":\"Region\",\"placeholder\":\"eu-west-1\"},"
      "{\"type\":\"Input.Text\",\"id\":\"token\",\"label\":\"Access token\",\"style\":\"Password\"}"
      "],"
      "\"actions\":[{\"type\":\"Action.Submit\",\"title\":\"Continue\"}]"
      "}}")
    (data (i32.const 1536)
      "{\"diagnostics\":[{"
      "\"severity\":\"info\","
      "\"code\":\"NOOP_ACCEPTED\","
      "\"message\":\"The fixture accepts every answer.\""
      "}]}")
    (data (i32.const 1792)
      "{\"plan\":{"
      "\"config_patch\":{\"noop.region\":\"eu-west-1\"},"
      "\"secrets_patch\":{\"set\":{\"NOOP_TOKEN\":{\"redacted\":true,\"value\":null}},\"delete\":[]},"
      "\"webhook_ops\":[],"
      "\"subscription_ops\":[],"
      "\"oauth_ops\":[],"
      "\"notes\":[\"noop: apply\"]"
      "}}")
    (data (i32.const 2304)
      "{\"summary\":{"
      "\"message\":\"The fixture is set up. Nothing was provisioned.\""
      "}}")

    ;; starts: whether the text at $p, which ends at $end, begins with the word.
    (func $starts (param $p i32) (param $end i32) (param $word i32) (param $size i32) (result i32)
      (if (i32.gt_u (i32.add (local.get $p) (local.get $size)) (local.get $end)) (then (return (i32.const 0))))
      (loop $next
        (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
        (if (i32.eq (i32.load8_u (local.get $p)) (i32.load8_u (local.get $word)))
          (then
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (local.set $word (i32.add (local.get $word) (i32.const 1)))
            (local.set $size (i32.sub (local.get $size) (i32.const 1)))
            (br $next))))
      (i32.const 0))

    ;; step: where the value of "step" begins, 0 when there is none. Only the top
    ;; level counts: answers and earlier steps may have a member of that name. The
    ;; request is compact, so no white space is looked for.
    (func $step (param $p i32) (param $end i32) (result i32)
      (local $c i32) (local $depth i32)
      (loop $next
        (if (i32.ge_u (local.get $p) (local.get $end)) (then (return (i32.const 0))))
        (local.set $c (i32.load8_u (local.get $p)))
        ;; { and [ differ by one bit, } and ] too.
        (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x7b (;'{';)))
          (then (local.set $depth (i32.add (local.get $depth) (i32.const 1)))))
        (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x7d (;'}';)))
          (then (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))))
        (if (i32.eq (local.get $c) (i32.const 0x22 (;'"';)))
          (then
            (if (i32.eq (local.get $depth) (i32.const 1))
              (then (if (call $starts (local.get $p) (local.get $end) (i32.const 256) (i32.const 8))
                (then (return (i32.add (local.get $p) (i32.const 8)))))))
            ;; To the end of the string.
            (loop $inside
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (if (i32.ge_u (local.get $p) (local.get $end)) (then (return (i32.const 0))))
              (local.set $c (i32.load8_u (local.get $p)))
              (if (i32.eq (local.get $c) (i32.const 0x5c (;'\';)))
                (then (local.set $p (i32.add (local.get $p) (i32.const 1)))))
              (br_if $inside (i32.ne (local.get $c) (i32.const 0x22 (;'"';)))))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $next))
      (unreachable))

    ;; refused: whether the host call just made gave an error; its message then
    ;; becomes the failure's.
    (func $refused (result i32)
      (if (i32.eqz (i32.load8_u (i32.const 128))) (then (return (i32.const 0))))
      (i64.store align=4 (i32.const 76) (i64.load align=4 (i32.const 140)))
      (i32.const 1))

    (func $apply (result i32)
      (call $config.set
        (i32.const 512) (i32.const 13)
        (i32.const 544) (i32.const 23)
        (i32.const 128))
      (if (call $refused) (then (return (i32.const 64))))
      (call $secrets.put
        (i32.const 576) (i32.const 16)
        (i32.const 608) (i32.const 19)
        (i32.const 128))
      (if (call $refused) (then (return (i32.const 64))))
      (i32.const 32))

    (func (export "run") (param $request i32) (param $request-size i32) (result i32)
      (local $end i32) (local $name i32)
      (local.set $end (i32.add (local.get $request) (local.get $request-size)))
      (local.set $name (call $step (local.get $request) (local.get $end)))
      (if (local.get $name)
        (then
          (if (call $starts (local.get $name) (local.get $end) (i32.const 272) (i32.const 8))
            (then (return (i32.const 0))))
          (if (call $starts (local.get $name) (local.get $end) (i32.const 288) (i32.const 9))
            (then (return (i32.const 16))))
          (if (call $starts (local.get $name) (local.get $end) (i32.const 304) (i32.const 6))
            (then (return (call $apply))))
          (if (call $starts (local.get $name) (local.get $end) (i32.const 320) (i32.const 8))
            (then (return (i32.const 48))))))
      (i32.const 96)))

  (core instance $step (instantiate $step
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "config.set" (func $config.set))
      (export "secrets.put" (func $secrets.put))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $step "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
