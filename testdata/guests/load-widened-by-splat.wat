;; behaviour: loads the last 8 bytes of its memory into both halves of a vector
;; contract: core
;; advisory: CVE-2026-34944
;; verdict: ok
;; note: by the rules; the code made for processors without SSE3, which no 64-bit one of this century is, loads 16 bytes

(module
  (memory (export "memory") 1)
  (memory $page 1) ;; of its own: the host makes the other one larger
  (data (i32.const 0) "{}")
  (func (export "run") (param i32 i32) (result i32 i32)
    (v128.store (i32.const 16) (f64x2.splat (f64.load $page (i32.const 65528))))
    (i32.const 0) (i32.const 2)))
