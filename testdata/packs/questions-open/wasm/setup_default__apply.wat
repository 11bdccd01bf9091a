;; apply: runs whether the question was answered or not; an open question is no
;; error.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"plan\":{\"notes\":[\"apply ran\"]}}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 32)))
