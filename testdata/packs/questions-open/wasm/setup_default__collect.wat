;; collect: asks for a region and must have one. With no answer to "region" the
;; run ends here.
(module
  (memory (export "memory") 1)
  (data (i32.const 0)
    "{\"questions\":{"
    "\"type\":\"AdaptiveCard\","
    "\"version\":\"1.5\","
    "\"body\":[{"
    "\"type\":\"Input.Text\",\"id\":\"region\",\"label\":\"Region\","
    "\"isRequired\":true,\"errorMessage\":\"A region is needed.\""
    "}]}}")
  (func (export "run") (param $request i32) (param $request-size i32) (result i32 i32)
    (i32.const 0) (i32.const 170)))
