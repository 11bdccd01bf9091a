;; behaviour: grows its memory and writes to each new page, then goes on without
;; contract: core
;; verdict: ok or memory_limit
;; note: a guest may use all it was given

(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func $touch (param $page i32)
    (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 0x20207d7b (;"{}  ";))))
  (func (export "run") (param i32 i32) (result i32 i32)
    (local $page i32)
    (loop $again
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $page) (i32.const -1))
        (then (call $touch (local.get $page)) (br $again))))
    (i32.const 0) (i32.const 2)))
