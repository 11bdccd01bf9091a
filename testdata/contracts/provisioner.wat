;; greentic:provision/provisioner 0.1.0: plan and apply with types. The plan has the first answer as
;; configuration, a secret, a webhook at the public base URL, a subscription and a warning; without the URL it is
;; an error; for remove it takes away.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the plans: without a URL, of remove, and the full one; then what apply says
    (data (i32.const 256) "Error")
    (data (i32.const 261) "base url missing")
    (data (i32.const 277) "a public base URL is needed")
    (data (i32.const 304) "/public_base_url")
    (data (i32.const 320) "give one")
    (data (i32.const 328) "\00\01\00\00\05\00\00\00\05\01\00\00\10\00\00\00\15\01\00\00\1b\00\00\00\01\00\00\000\01\00\00"
      "\10\00\00\00\01\00\00\00@\01\00\00\08\00\00\00")
    (data (i32.const 376) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\04\00\00\00\00\00\00"
      "\00\04\00\00\00\00\00\00\00H\01\00\00\01\00\00\00")
    (data (i32.const 424) "{\22host\22:null}")
    (data (i32.const 437) "{\22API_KEY\22:null}")
    (data (i32.const 453) "mail")
    (data (i32.const 457) "https://old.example.invalid")
    (data (i32.const 484) "\02\00\00\00\c5\01\00\00\04\00\00\00\c9\01\00\00\1b\00\00\00\04\00\00\00\00\00\00\00")
    (data (i32.const 512) "\01\00\00\00\a8\01\00\00\0d\00\00\00\01\00\00\00\b5\01\00\00\10\00\00\00\e4\01\00\00\01\00\00"
      "\00\04\00\00\00\00\00\00\00\04\00\00\00\00\00\00\00")
    (data (i32.const 560) "")
    (data (i32.const 560) "{\22API_KEY\22:\22from-the-plan\22}")
    (data (i32.const 587) "mail")
    (data (i32.const 591) "")
    (data (i32.const 591) "bounce")
    (data (i32.const 597) "open")
    (data (i32.const 604) "O\02\00\00\06\00\00\00U\02\00\00\04\00\00\00")
    (data (i32.const 620) "\00\00\00\00K\02\00\00\04\00\00\00O\02\00\00\00\00\00\00\5c\02\00\00\02\00\00\00")
    (data (i32.const 648) "inbox")
    (data (i32.const 653) "https://inbox.example.invalid")
    (data (i32.const 684) "\01\00\00\00\88\02\00\00\05\00\00\00\8d\02\00\00\1d\00\00\00")
    (data (i32.const 704) "warning")
    (data (i32.const 711) "dns-not-checked")
    (data (i32.const 726) "the name was not looked up")
    (data (i32.const 752) "\c0\02\00\00\07\00\00\00\c7\02\00\00\0f\00\00\00\d6\02\00\00\1a\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 800) "\01\00\00\000\02\00\00\00\00\00\00\01\00\00\000\02\00\00\1b\00\00\00l\02\00\00\01\00\00\00\ac"
      "\02\00\00\01\00\00\00\f0\02\00\00\01\00\00\00")
    (data (i32.const 848) "info")
    (data (i32.const 852) "APPLIED")
    (data (i32.const 859) "what was planned was applied")
    (data (i32.const 888) "P\03\00\00\04\00\00\00T\03\00\00\07\00\00\00[\03\00\00\1c\00\00\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 936) "x\03\00\00\01\00\00\00")
    (data (i32.const 944) "fatal")
    (data (i32.const 949) "PLAN_LOST")
    (data (i32.const 958) "the plan is not the one that was made")
    (data (i32.const 996) "\b0\03\00\00\05\00\00\00\b5\03\00\00\09\00\00\00\be\03\00\00%\00\00\00\00\00\00\00\00\00\00\00"
      "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 1044) "\e4\03\00\00\01\00\00\00")
    ;; the configuration, in pieces
    (data (i32.const 1052) "{\22")
    (data (i32.const 1054) "\22:\22")
    (data (i32.const 1057) "\22}")
    (global $top (mut i32) (i32.const 65536))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))))))
      (local.get $at))
    ;; What is being said: a piece more of it, and where it is as (pointer, length).
    (global $end (mut i32) (i32.const 32768))
    (func $say (param $at i32) (param $len i32)
      (memory.copy (global.get $end) (local.get $at) (local.get $len))
      (global.set $end (i32.add (global.get $end) (local.get $len))))
    (func $said (param $pair i32) (result i32)
      (i32.store (local.get $pair) (i32.const 32768))
      (i32.store offset=4 (local.get $pair) (i32.sub (global.get $end) (i32.const 32768)))
      (local.get $pair))
    ;; The inputs are in memory: the public base URL at 60, the mode at 72, the answers at 76. The first answer
    ;; becomes the configuration, the URL that of the webhook.
    (func (export "plan") (param $inputs i32) (result i32)
      (local $answer i32)
      (if (i32.eq (i32.load8_u offset=72 (local.get $inputs)) (i32.const 2)) ;; remove
        (then (return (i32.const 512))))
      (if (i32.eqz (i32.load8_u offset=60 (local.get $inputs)))
        (then (return (i32.const 376))))
      (i64.store align=4 (i32.const 632) (i64.load offset=64 align=4 (local.get $inputs)))
      (local.set $answer (i32.load offset=76 (local.get $inputs)))
      (if (i32.eqz (i32.load offset=80 (local.get $inputs)))
        (then (i32.store8 (i32.const 800) (i32.const 0)))
        (else
          (call $say (i32.const 1052) (i32.const 2))
          (call $say (i32.load (local.get $answer)) (i32.load offset=4 (local.get $answer)))
          (call $say (i32.const 1054) (i32.const 3))
          (call $say (i32.load offset=8 (local.get $answer)) (i32.load offset=12 (local.get $answer)))
          (call $say (i32.const 1057) (i32.const 2))
          (drop (call $said (i32.const 804)))))
      (i32.const 800))
    ;; The plan comes back behind the inputs, at 128. That it has a secrets patch is how it is known again.
    (func (export "apply") (param $args i32) (result i32)
      (select (i32.const 936) (i32.const 1044)
        (i32.load8_u offset=140 (local.get $args)))))
  (core instance $guest (instantiate $guest))

  (type $tenant-context (record
    (field "tenant-id" string) (field "tenant-name" (option string)) (field "org-id" (option string))
    (field "org-name" (option string))))
  (type $provider-context (record
    (field "provider-id" string) (field "install-id" string) (field "public-base-url" (option string))))
  (type $provision-mode (enum "install" "update" "remove"))
  (type $answer (record (field "key" string) (field "value" string)))
  (type $webhook-action (enum "create" "update" "delete"))
  (type $webhook-op (record
    (field "action" $webhook-action) (field "name" string) (field "url" string)
    (field "events" (list string))))
  (type $subscription-action (enum "create" "update" "delete"))
  (type $subscription-op (record
    (field "action" $subscription-action) (field "topic" string) (field "endpoint" string)))
  (type $existing-state (record
    (field "config-json" (option string)) (field "secrets-json" (option string))
    (field "webhooks" (list $webhook-op)) (field "subscriptions" (list $subscription-op))))
  (type $provision-inputs (record
    (field "tenant" $tenant-context) (field "provider" $provider-context) (field "mode" $provision-mode)
    (field "answers" (list $answer)) (field "existing" (option $existing-state))))
  (type $diagnostic (record
    (field "severity" string) (field "code" string) (field "message" string)
    (field "path" (option string)) (field "hint" (option string))))
  (type $provision-plan (record
    (field "config-patch" (option string)) (field "secrets-patch" (option string))
    (field "webhooks" (list $webhook-op)) (field "subscriptions" (list $subscription-op))
    (field "diagnostics" (list $diagnostic))))
  (func $plan (param "inputs" $provision-inputs) (result $provision-plan)
    (canon lift (core func $guest "plan") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $apply (param "inputs" $provision-inputs) (param "plan" $provision-plan) (result (list $diagnostic))
    (canon lift (core func $guest "apply") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:provision/provisioner@0.1.0")
    (export "tenant-context" (type $tenant-context))
    (export "provider-context" (type $provider-context))
    (export "provision-mode" (type $provision-mode))
    (export "answer" (type $answer))
    (export "webhook-action" (type $webhook-action))
    (export "webhook-op" (type $webhook-op))
    (export "subscription-action" (type $subscription-action))
    (export "subscription-op" (type $subscription-op))
    (export "existing-state" (type $existing-state))
    (export "provision-inputs" (type $provision-inputs))
    (export "diagnostic" (type $diagnostic))
    (export "provision-plan" (type $provision-plan))
    (export "plan" (func $plan))
    (export "apply" (func $apply))))
