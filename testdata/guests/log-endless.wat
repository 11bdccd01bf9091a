;; behaviour: logs for ever
;; contract: component
;; verdict: deadline or hostcall_limit
;; limits: step-timeout=500ms

(component
  (import "greentic:provision-host/log@1.0.0" (instance $log
    (type $levels (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $levels)))
    (export "log" (func (param "level" $level) (param "message" string)))))

  (core module $memory
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $log (canon lower (func $log "log")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 2))
    (import "host" "log" (func $log (param i32 i32 i32)))
    (data (i32.const 1024) "still here")
    (func (export "run") (param i32 i32) (result i32)
      (loop $again
        (call $log (i32.const 1 (;info;)) (i32.const 1024) (i32.const 10))
        (br $again))
      (unreachable)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "log" (func $log))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
