;; behaviour: traps 5,000 frames deep in functions named to hurt a terminal
;; contract: core
;; verdict: trap
;; note: the message shown must be bounded and escaped

(module
  (memory (export "memory") 1)
  ;; The names: clear the screen, set the window title, write from right to left;
  ;; and a line that looks like one of ours.
  (func $down (@name "\1b[2J\1b]0;owned\07\u{202e}") (param $n i32)
    (if (i32.eqz (local.get $n)) (then (call $bottom)))
    (call $down (i32.sub (local.get $n) (i32.const 1))))
  (func $bottom (@name "\r\nverdict: ok\n")
    (unreachable))
  (func (export "run") (param i32 i32) (result i32 i32)
    (call $down (i32.const 5000))
    (i32.const 0) (i32.const 0)))
