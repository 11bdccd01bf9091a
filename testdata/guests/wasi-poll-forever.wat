;; behaviour: polls for ever, an hour each time
;; contract: component
;; verdict: deadline
;; limits: step-timeout=500ms

(component
  (import "wasi:io/poll@0.2.6" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
    (export "pollable" (type $the-pollable (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $the-pollable))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $subscribe-duration (canon lower (func $clock "subscribe-duration")))
  (core func $poll (canon lower (func $poll "poll")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "subscribe-duration" (func $subscribe-duration (param i64) (result i32)))
    (import "host" "poll" (func $poll (param i32 i32 i32)))
    (func (export "run") (param i32 i32) (result i32)
      ;; A list of one pollable, at 32.
      (i32.store (i32.const 32) (call $subscribe-duration (i64.const 3_600_000_000_000)))
      (loop $again
        (call $poll (i32.const 32) (i32.const 1) (i32.const 48))
        (br $again))
      (unreachable)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "subscribe-duration" (func $subscribe-duration))
      (export "poll" (func $poll))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
