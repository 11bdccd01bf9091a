;; behaviour: loads the last 8 bytes of its memory for their sign
;; contract: core
;; advisory: CVE-2026-24116
;; verdict: trap
;; verdict-interpreter: ok
;; verdict-arm64: ok
;; note: by the rules; the code made for amd64 loads 16 bytes, and dies of it without signal-based traps

(module
  (memory (export "memory") 1)
  (memory $page 1) ;; of its own: the host makes the other one larger
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (f64.store (i32.const 16)
      (f64.copysign (f64.const 0) (f64.load $page (i32.const 65528))))
    (i32.const 0) (i32.const 2)))
