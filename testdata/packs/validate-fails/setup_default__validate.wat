;; validate: refuses, so the run must end before apply.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"diagnostics\":[{"
    "\"severity\":\"error\","
    "\"code\":\"REGION_UNKNOWN\","
    "\"message\":\"There is no such region.\","
    "\"path\":\"answers.region\","
    "\"hint\":\"Choose a region that exists.\""
    "}]}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 161)))
