;; validate: accepts whatever was answered and says so.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"diagnostics\":[{"
    "\"severity\":\"info\","
    "\"code\":\"NOOP_ACCEPTED\","
    "\"message\":\"The fixture accepts every answer.\""
    "}]}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 106)))
