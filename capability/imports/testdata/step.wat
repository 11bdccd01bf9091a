;; A provisioning step by hand. It writes its request to stdout and sets
;; region = "eu"; the host's refusal becomes its failure. A request that starts
;; with "s" makes it sleep for an hour first.
(component
  (import "greentic:provision-host/config@1.0.0" (instance $config
    (type $e (record (field "code" string) (field "message" string)))
    (export "host-error" (type $host-error (eq $e)))
    (export "set" (func (param "key" string) (param "value" string) (result (result (error $host-error)))))))
  (import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (export "error" (type $error (sub resource)))
    (type $e (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $e)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdout@0.2.3" (instance $stdout
    (alias outer 1 $output (type $o))
    (export "output-stream" (type $output (eq $o)))
    (export "get-stdout" (func (result (own $output))))))
  (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type $pollable (eq $p)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $set (canon lower (func $config "set") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $libc "memory")))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $drop-output (canon resource.drop $output))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "drop-output" (func $drop-output (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (data (i32.const 16) "region")
    (data (i32.const 32) "\22eu\22")
    (func (export "run") (param $request i32) (param $len i32) (result i32)
      (local $out i32)
      (if (i32.eq (i32.load8_u (local.get $request)) (i32.const 0x73))
        (then (call $block (call $subscribe (i64.const 3_600_000_000_000)))))
      (local.set $out (call $get-stdout))
      (call $write (local.get $out) (local.get $request) (local.get $len) (i32.const 256))
      (call $drop-output (local.get $out))
      ;; set's result is at 64, run's at 128: both are a flag and up to two strings
      (call $set (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 4) (i32.const 64))
      (if (i32.load8_u (i32.const 64))
        (then (memory.copy (i32.const 128) (i32.const 64) (i32.const 20)))
        (else
          (i32.store8 (i32.const 128) (i32.const 0))
          (i32.store (i32.const 132) (local.get $request))
          (i32.store (i32.const 136) (local.get $len))))
      (i32.const 128)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance
      (export "set" (func $set)) (export "write" (func $write)) (export "get-stdout" (func $get-stdout))
      (export "drop-output" (func $drop-output)) (export "subscribe" (func $subscribe)) (export "block" (func $block))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (component $interface
    (type $f (record (field "code" string) (field "message" string)))
    (import "failure" (type $failure (eq $f)))
    (import "run" (func $run (param "request" string) (result (result string (error $failure)))))
    (type $g (record (field "code" string) (field "message" string)))
    (export $exported "failure" (type $g))
    (export "run" (func $run) (func (param "request" string) (result (result string (error $exported))))))
  (instance $step (instantiate $interface (with "failure" (type $failure)) (with "run" (func $run))))
  (export "greentic:provision-step/step@1.0.0" (instance $step)))
