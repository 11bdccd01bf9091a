;; behaviour: has a table of 2^61 entries with 64-bit indices, a feature that is off
;; contract: core
;; advisory: CVE-2026-44216
;; verdict: compile_failed
;; note: where the feature is on, the engine aborts

(module
  (table i64 0x2000000000000000 funcref)
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32) (i32.const 0) (i32.const 0)))
