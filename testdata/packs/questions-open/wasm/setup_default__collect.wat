;; collect: asks for a region, always, and calls it required. With no answer the
;; question is open at the end; all steps run.
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
