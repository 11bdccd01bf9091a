;; behaviour: branches through a table of 65,000 targets
;; contract: core
;; advisory: CVE-2026-115893
;; verdict: ok
;; verdict-arm64: ok or trap or worker_crash
;; note: by the rules; code made for arm64 may jump elsewhere, which was not seen for want of such a machine

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func $which (param i32) (result i32)
    (block $far
      (block $near
        (br_table
          (@repeat 65000 $near)
          $far (local.get 0)))
      (return (i32.const 1)))
    (i32.const 2))
  (func (export "run") (param i32 i32) (result i32 i32)
    (if (i32.ne (call $which (i32.const 64999)) (i32.const 1)) (then (unreachable)))
    (if (i32.ne (call $which (i32.const 65000)) (i32.const 2)) (then (unreachable)))
    (i32.const 0) (i32.const 2)))
