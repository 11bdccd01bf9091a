;; behaviour: exports a function of the asynchronous component model, whose callback has the wrong type
;; contract: component
;; advisory: CVE-2026-115384
;; verdict: compile_failed
;; note: async is off; where it is on, the callback writes over the engine's stack

(component
  (core module $guest
    (func (export "run") (param i32 i32) (result i32) (i32.const 0))
    (func (export "callback") (param i32 i32 i32) (result i32) (i32.const 0)))
  (core instance $guest (instantiate $guest))
  (func (export "run") (param "request" u32) (param "more" u32)
    (canon lift (core func $guest "run") async (callback (func $guest "callback")))))
