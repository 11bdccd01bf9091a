;; behaviour: looks for environment variables, arguments and a working directory
;; contract: component
;; verdict: ok
;; note: traps when there is any

(component
  (import "wasi:cli/environment@0.2.6" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))
    (export "initial-cwd" (func (result (option string))))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $get-environment (canon lower (func $environment "get-environment")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $get-arguments (canon lower (func $environment "get-arguments")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $initial-cwd (canon lower (func $environment "initial-cwd")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "get-environment" (func $get-environment (param i32)))
    (import "host" "get-arguments" (func $get-arguments (param i32)))
    (import "host" "initial-cwd" (func $initial-cwd (param i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      ;; The lists, each where and how many; then the option: whether, where and how long.
      (call $get-environment (i32.const 32))
      (call $get-arguments (i32.const 40))
      (call $initial-cwd (i32.const 48))
      (if (i32.load (i32.const 36)) (then (unreachable)))
      (if (i32.load (i32.const 44)) (then (unreachable)))
      (if (i32.load8_u (i32.const 48)) (then (unreachable)))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "get-environment" (func $get-environment))
      (export "get-arguments" (func $get-arguments))
      (export "initial-cwd" (func $initial-cwd))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
