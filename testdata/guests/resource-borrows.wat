;; behaviour: lends one resource to its callee 12 million times in one call
;; contract: component
;; advisory: GHSA-6fr9-xmw9-5352
;; verdict: memory_limit
;; note: each loan is a handle in the callee's table, which is held against no limit

(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (component $callee
    (import "thing" (type $thing (sub resource)))
    (core module $m
      (memory (export "memory") 800)
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "things" (list (borrow $thing)))
      (canon lift (core func $i "take") (memory $i "memory") (realloc (func $i "cabi_realloc")))))
  (instance $callee (instantiate $callee (with "thing" (type $thing))))

  (core module $memory
    (memory (export "memory") 800)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $callee "take") (memory $memory "memory")))

  (core module $guest
    (import "memory" "memory" (memory 800))
    (import "thing" "new" (func $new (param i32) (result i32)))
    (import "callee" "take" (func $take (param i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (func (export "run") (param i32 i32) (result i32)
      (local $entry i32) (local $thing i32)
      (local.set $thing (call $new (i32.const 1)))
      (local.set $entry (i32.const 48131072))
      (loop $again
        (local.set $entry (i32.sub (local.get $entry) (i32.const 4)))
        (i32.store (local.get $entry) (local.get $thing))
        (br_if $again (i32.gt_u (local.get $entry) (i32.const 131072))))
      (call $take (i32.const 131072) (i32.const 12000000))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "thing" (instance
      (export "new" (func $new))))
    (with "callee" (instance
      (export "take" (func $take))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
