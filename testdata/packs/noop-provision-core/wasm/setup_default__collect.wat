;; collect: two questions as an Adaptive Card, always the same. Neither must be
;; answered, so a run without answers goes on.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
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
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 328)))
