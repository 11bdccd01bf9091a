;; Uses what Greentic's first runners offered: puts its request under ns/key, gets
;; it, and tries the network. It gives the text that it got and, if there was none,
;; why there is no network.
(component
  (import "greentic:host/http-v1@1.0.0" (instance $http
    (export "request" (func (param "method" string) (param "url" string) (param "headers" (list string)) (param "body" (option (list u8))) (result (result (list u8) (error string)))))))
  (import "greentic:host/kv-v1@1.0.0" (instance $kv
    (export "get" (func (param "ns" string) (param "key" string) (result (option string))))
    (export "put" (func (param "ns" string) (param "key" string) (param "val" string)))))

  (core module $libc
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $request (canon lower (func $http "request") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $get (canon lower (func $kv "get") (memory $libc "memory") (realloc (func $libc "realloc"))))
  (core func $put (canon lower (func $kv "put") (memory $libc "memory") (realloc (func $libc "realloc"))))

  (core module $main
    (import "libc" "memory" (memory 1))
    (import "host" "request" (func $request (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "get" (func $get (param i32 i32 i32 i32 i32)))
    (import "host" "put" (func $put (param i32 i32 i32 i32 i32 i32)))
    (data (i32.const 16) "ns")
    (data (i32.const 32) "key")
    (data (i32.const 48) "GET")
    (func (export "run") (param $request-text i32) (param $len i32) (result i32)
      (if (local.get $len)
        (then (call $put (i32.const 16) (i32.const 2) (i32.const 32) (i32.const 3) (local.get $request-text) (local.get $len))))
      (call $get (i32.const 16) (i32.const 2) (i32.const 32) (i32.const 3) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 68))))
      (call $request (i32.const 48) (i32.const 3) (i32.const 48) (i32.const 3) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))
      (i32.const 68)))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "host" (instance (export "request" (func $request)) (export "get" (func $get)) (export "put" (func $put))))))

  (func (export "run") (param "request" string) (result string)
    (canon lift (core func $main "run") (memory $libc "memory") (realloc (func $libc "realloc")))))
