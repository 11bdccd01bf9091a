;; behaviour: writes 4 MiB with terminal escapes to standard output
;; contract: component
;; verdict: ok
;; note: the log is cut and the rest counted

(component
  (import "wasi:io/error@0.2.6" (instance $errors
    (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (export "error" (type $the-error (eq $error)))
    (type $errors (variant (case "last-operation-failed" (own $the-error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $errors)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (export "output-stream" (type $the-stream (eq $output-stream)))
    (export "get-stdout" (func (result (own $the-stream))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 1024) "\1b[2J\1b]0;owned\07\r\nverdict: ok\n")
    (func (export "run") (param i32 i32) (result i32)
      (local $stream i32) (local $n i32)
      (local.set $stream (call $get-stdout))
      (local.set $n (i32.const 1024))
      (loop $again
        (call $write (local.get $stream) (i32.const 1024) (i32.const 4096) (i32.const 32))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (local.get $n)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
