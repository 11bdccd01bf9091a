;; behaviour: logs 512 KiB of terminal escapes
;; contract: component
;; verdict: ok
;; note: the log is cut and the rest counted

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
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 1024) "\1b[2J\1b]0;owned\07\r\nverdict: ok\n")
    (func (export "run") (param i32 i32) (result i32)
      (local $n i32)
      (local.set $n (i32.const 512))
      (loop $again
        (call $log (i32.const 1 (;info;)) (i32.const 1024) (i32.const 1024))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (local.get $n)))
      (i32.const 0)))
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
