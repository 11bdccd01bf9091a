;; behaviour: makes a TCP socket
;; contract: component
;; verdict: ok
;; note: traps when it gets one

(component
  (import "wasi:sockets/network@0.2.6" (instance $network
    (type $errors (enum
      "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory"
      "timeout" "concurrency-conflict" "not-in-progress" "would-block" "invalid-state"
      "new-socket-limit" "address-not-bindable" "address-in-use" "remote-unreachable"
      "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type (eq $errors)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $families)))))
  (alias export $network "error-code" (type $error-code))
  (alias export $network "ip-address-family" (type $ip-address-family))
  (import "wasi:sockets/tcp@0.2.6" (instance $tcp
    (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.6" (instance $create
    (export "error-code" (type $code (eq $error-code)))
    (export "ip-address-family" (type $family (eq $ip-address-family)))
    (export "tcp-socket" (type $socket (eq $tcp-socket)))
    (export "create-tcp-socket" (func (param "address-family" $family) (result (result (own $socket) (error $code)))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $create-tcp-socket (canon lower (func $create "create-tcp-socket")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "create-tcp-socket" (func $create-tcp-socket (param i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      (call $create-tcp-socket (i32.const 0 (;ipv4;)) (i32.const 32))
      (if (i32.eqz (i32.load8_u (i32.const 32))) (then (unreachable)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "create-tcp-socket" (func $create-tcp-socket))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
