;; apply: the whole plan is in the response, since a core module has no host to
;; call. One secret comes as plain text: whoever runs this must take it out.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"plan\":{"
    "\"config_patch\":{\"noop.region\":\"eu-west-1\",\"noop.endpoint\":\"https://noop.invalid/\"},"
    "\"secrets_patch\":{\"set\":{"
    "\"NOOP_TOKEN\":{\"redacted\":true,\"value\":null},"
    "\"NOOP_SIGNING_KEY\":{\"redacted\":false,\"value\":\"fixture-signing-key\"}"
    "},\"delete\":[]},"
    "\"webhook_ops\":[],"
    "\"subscription_ops\":[],"
    "\"oauth_ops\":[],"
    "\"notes\":[\"noop: apply\"]"
    "}}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 321)))
