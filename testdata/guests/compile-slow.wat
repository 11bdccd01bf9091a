;; behaviour: is 28 KiB of loops in loops, through each of which 2,000 variables go: minutes of compilation
;; contract: core
;; verdict: compile_failed
;; limits: compile-timeout=1s

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func $f (param i32) (local (@repeat 2000 i32))
    (@repeat 2000 loop)
    (@repeat 2000 (local.set # (i32.eqz (local.get #))))
    (@repeat 2000 (br_if 0 (local.get 0)) end))
  (func (export "run") (param i32 i32) (result i32 i32)
    (call $f (i32.const 0))
    (i32.const 0) (i32.const 2)))
