;; behaviour: has a function of 17 million values, more than the compiler can number
;; contract: core
;; advisory: CVE-2026-115889
;; verdict: compile_failed
;; note: the numbers wrap, and the function computes with other values than it says: 7 * 12 was 7,
;; note: after 30 s and 1.1 GB of compilation; so we refuse such functions before the compiler sees them

(module
  (memory (export "memory") 1)
  (type $many (func
    (param (@repeat 1000 i32))
    (result (@repeat 1000 i32))))
  (func $f (param i32) (result i32)
    (@repeat 1000 local.get 0)
    (@repeat 17000 block (type $many) end)
    (@repeat 999 drop)
    (i32.mul (i32.add (i32.const 5)) (local.get 0)))
  (func (export "run") (param i32 i32) (result i32 i32)
    (if (i32.ne (call $f (i32.const 7)) (i32.const 84)) (then (unreachable)))
    (i32.const 0) (i32.const 2))
  (data (i32.const 0) "{}"))
