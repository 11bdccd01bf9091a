;; collect: two questions as an Adaptive Card, always the same. Neither must be
;; answered, so a run without answers goes on.
(component
  (core module $step
    (memory (export "memory") 1)

    ;; What run points to, a result<string, failure>: ok, the text at 32, its size.
    (data (i32.const 0) "\00\00\00\00" "\20\00\00\00" "\48\01\00\00")
    (data (i32.const 32)
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

    ;; Where the caller puts the request: behind everything, in pages of its own.
    (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (i32.mul (i32.const 65536)
        (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))

    (func (export "run") (param $request i32) (param $request-size i32) (result i32)
      (i32.const 0)))

  (core instance $step (instantiate $step))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $step "run")
      (memory $step "memory") (realloc (func $step "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
