;; apply: a plan with this note shows that validate was not heeded.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"plan\":{\"notes\":[\"must not run\"]}}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 35)))
