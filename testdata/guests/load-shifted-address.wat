;; behaviour: loads from addresses that are shifted by as many bits as the loaded byte has
;; contract: core
;; advisory: CVE-2026-34971
;; verdict: ok
;; verdict-arm64: ok or trap or worker_crash
;; note: by the rules; code made for arm64 may leave the shift out, which was not seen for want of such a machine

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (data (i32.const 512) "\2a")
  (func $load (param i32) (result i32)
    (i32.load8_u (i32.shl (local.get 0) (i32.const 8))))
  (func (export "run") (param i32 i32) (result i32 i32)
    (if (i32.ne (call $load (i32.const 2)) (i32.const 42)) (then (unreachable)))
    (i32.const 0) (i32.const 2)))
