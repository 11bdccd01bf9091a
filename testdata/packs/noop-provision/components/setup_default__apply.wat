;; apply: half of the plan is returned, the other half is asked of the host
;; (greentic:provision-host): one configuration key and one secret each way.
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

    ;; What run points to, a result<string, failure>: ok, the text at 1024, its size.
    (data (i32.const 0) "\00\00\00\00" "\00\04\00\00" "\d5\00\00\00")
    ;; The same for a failure: its code at 96; the message comes from the host.
    (data (i32.const 32) "\01\00\00\00" "\60\00\00\00" "\0c\00\00\00")
    ;; At 64: the result<_, host-error> of a host call, 20 bytes.
    (data (i32.const 96) "HOST_REFUSED")

    (data (i32.const 256) "noop.endpoint")
    (data (i32.const 288) "\"https://noop.invalid/\"")
    (data (i32.const 320) "NOOP_SIGNING_KEY")
    (data (i32.const 352) "fixture-signing-key")
    (data (i32.const 1024)
      "{\"plan\":{"
      "\"config_patch\":{\"noop.region\":\"eu-west-1\"},"
      "\"secrets_patch\":{\"set\":{\"NOOP_TOKEN\":{\"redacted\":true,\"value\":null}},\"delete\":[]},"
      "\"webhook_ops\":[],"
      "\"subscription_ops\":[],"
      "\"oauth_ops\":[],"
      "\"notes\":[\"noop: apply\"]"
      "}}")

    ;; refused: whether the host call just made gave an error; its message then
    ;; becomes the failure's.
    (func $refused (result i32)
      (if (i32.eqz (i32.load8_u (i32.const 64))) (then (return (i32.const 0))))
      (i64.store align=4 (i32.const 44) (i64.load align=4 (i32.const 76)))
      (i32.const 1))

    (func (export "run") (param $request i32) (param $request-size i32) (result i32)
      (call $config.set
        (i32.const 256) (i32.const 13)
        (i32.const 288) (i32.const 23)
        (i32.const 64))
      (if (call $refused) (then (return (i32.const 32))))
      (call $secrets.put
        (i32.const 320) (i32.const 16)
        (i32.const 352) (i32.const 19)
        (i32.const 64))
      (if (call $refused) (then (return (i32.const 32))))
      (i32.const 0)))

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
