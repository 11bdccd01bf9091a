;; summary: a message for the operator.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"summary\":{"
    "\"message\":\"The fixture is set up. Nothing was provisioned.\""
    "}}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 73)))
