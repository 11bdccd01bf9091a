;; behaviour: grows a table with 64-bit indices by 2^61 entries, a feature that is off
;; contract: core
;; advisory: CVE-2026-44216
;; verdict: compile_failed
;; note: where the feature is on, the engine aborts

(module
  (table $t i64 0 funcref)
  (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32 i32)
    (drop (table.grow $t (ref.null func) (i64.const 0x2000000000000000)))
    (i32.const 0) (i32.const 0)))
