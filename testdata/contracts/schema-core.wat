;; greentic:provider-schema-core/schema-core-api 1.0.0, with JSON: qa-spec, apply-answers and i18n-bundle are
;; operations of invoke, and so is echo. It asks what provider-0.6.1.wat asks.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the questions, around their mode
    (data (i32.const 256) "{\22mode\22:")
    (data (i32.const 264) ",\22title\22:{\22key\22:\22mailer.title\22},\22description\22:null,\22questions\22:[{\22id\22"
      ":\22host\22,\22label\22:{\22key\22:\22mailer.host\22},\22kind\22:{\22type\22:\22text\22},\22"
      "required\22:true,\22help\22:{\22key\22:\22mailer.host.help\22}},{\22id\22:\22port\22,\22labe"
      "l\22:{\22key\22:\22mailer.port\22},\22kind\22:{\22type\22:\22text\22},\22required\22:false,\22"
      "default\22:587},{\22id\22:\22api_key\22,\22label\22:{\22key\22:\22mailer.api_key\22},\22kind"
      "\22:{\22type\22:\22text\22},\22required\22:true},{\22id\22:\22note\22,\22label\22:{\22key\22"
      ":\22mailer.note\22},\22kind\22:{\22type\22:\22text\22},\22required\22:false}],\22defaults\22"
      ":{}}")
    ;; no questions, around the mode
    (data (i32.const 731) "{\22mode\22:")
    (data (i32.const 739) ",\22title\22:{\22key\22:\22mailer.title\22},\22description\22:null,\22questions\22:[],\22def"
      "aults\22:{}}")
    ;; a configuration, around the values of host and api_key
    (data (i32.const 819) "{\22ok\22:true,\22config\22:{\22host\22:")
    (data (i32.const 847) ",\22port\22:587,\22api_key\22:")
    (data (i32.const 869) "},\22remove\22:null,\22diagnostics\22:[],\22error\22:null}")
    ;; what remove gives, and what without a host and without a key
    (data (i32.const 915) "{\22ok\22:true,\22config\22:null,\22remove\22:{\22remove_all\22:true,\22cleanup\22:[\22delet"
      "e_config_key\22,\22best_effort_delete_provider_owned_secrets\22]},\22diagnostics\22:[],\22er"
      "ror\22:null}")
    (data (i32.const 1075) "{\22ok\22:false,\22config\22:null,\22remove\22:null,\22diagnostics\22:[],\22error\22:\22host"
      " is required\22}")
    (data (i32.const 1159) "{\22ok\22:false,\22config\22:null,\22remove\22:null,\22diagnostics\22:[],\22error\22:\22api_"
      "key is required\22}")
    ;; what is looked for
    (data (i32.const 1246) "\22host\22:")
    (data (i32.const 1253) "\22api_key\22:")
    (data (i32.const 1263) "\22mode\22:")
    (data (i32.const 1270) "\22mode\22:\22remove\22")
    ;; operations
    (data (i32.const 1285) "qa-spec")
    (data (i32.const 1292) "apply-answers")
    (data (i32.const 1305) "i18n-bundle")
    (data (i32.const 1316) "echo")
    ;; what describe gives
    (data (i32.const 1320) "{\22provider\22:\22mailer\22,\22world\22:\22component-v0-v6-v0\22,\22operations\22:[{\22name"
      "\22:\22send\22,\22title\22:{\22key\22:\22mailer.send\22},\22description\22:{\22key\22:\22mai"
      "ler.send.text\22}}],\22input_schema\22:{\22kind\22:\22object\22,\22fields\22:{},\22additiona"
      "l_properties\22:true},\22output_schema\22:{\22kind\22:\22object\22,\22fields\22:{},\22additi"
      "onal_properties\22:true},\22config_schema\22:{\22kind\22:\22object\22,\22additional_properti"
      "es\22:false,\22fields\22:{\22host\22:{\22required\22:true,\22schema\22:{\22kind\22:\22string"
      "\22,\22secret\22:false}},\22port\22:{\22required\22:false,\22schema\22:{\22kind\22:\22u64\22"
      ",\22secret\22:false}},\22api_key\22:{\22required\22:true,\22schema\22:{\22kind\22:\22string\22"
      ",\22secret\22:true}},\22note\22:{\22required\22:false,\22schema\22:{\22kind\22:\22string\22,"
      "\22secret\22:false}}}},\22redactions\22:[{\22path\22:\22$.api_key\22,\22strategy\22:\22repla"
      "ce\22}],\22schema_hash\22:\22000000000000000000000000000000000000000000000000000000000000000"
      "0\22}")
    ;; the texts, English, after their locale
    (data (i32.const 2103) "{\22locale\22:")
    (data (i32.const 2113) ",\22messages\22:{\22mailer.title\22:\22Mailer\22,\22mailer.host\22:\22Mail host\22,\22mailer"
      ".host.help\22:\22The name of the server\22,\22mailer.port\22:\22Port\22,\22mailer.api_key\22"
      ":\22API key\22,\22mailer.note\22:\22Note\22}}")
    (data (i32.const 2290) "{\22ok\22:false,\22error\22:\22unsupported op\22}")
    (data (i32.const 2327) "{\22ok\22:true}")
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
    ;; Where the needle is in the hay behind its last byte, or 0.
    (func $find (param $hay i32) (param $len i32) (param $needle i32) (param $size i32) (result i32)
      (local $end i32) (local $i i32)
      (local.set $end (i32.sub (i32.add (local.get $hay) (local.get $len)) (local.get $size)))
      (block $no
        (loop $next
          (br_if $no (i32.gt_s (local.get $hay) (local.get $end)))
          (local.set $i (i32.const 0))
          (block $differs
            (loop $same
              (br_if $differs (i32.ne
                (i32.load8_u (i32.add (local.get $hay) (local.get $i)))
                (i32.load8_u (i32.add (local.get $needle) (local.get $i)))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $same (i32.lt_u (local.get $i) (local.get $size))))
            (return (i32.add (local.get $hay) (local.get $size))))
          (local.set $hay (i32.add (local.get $hay) (i32.const 1)))
          (br $next)))
      (i32.const 0))
    ;; The length of the JSON text at a place, 0 where there is none. There are no escapes in it.
    (func $item (param $at i32) (result i32)
      (local $n i32)
      (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
      (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x22)) (then (return (i32.const 0))))
      (loop $next
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $next (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $n))) (i32.const 0x22))))
      (i32.add (local.get $n) (i32.const 1)))
    (func $is (param $op i32) (param $len i32) (param $name i32) (param $size i32) (result i32)
      (i32.and (i32.eq (local.get $len) (local.get $size))
        (i32.ne (call $find (local.get $op) (local.get $len) (local.get $name) (local.get $size)) (i32.const 0))))
    (func $questions (param $in i32) (param $len i32)
      (local $mode i32) (local $remove i32)
      (local.set $mode (call $find (local.get $in) (local.get $len) (i32.const 1263) (i32.const 7)))
      (local.set $remove (call $find (local.get $in) (local.get $len) (i32.const 1270) (i32.const 15)))
      (if (local.get $remove)
        (then (call $say (i32.const 731) (i32.const 8)))
        (else (call $say (i32.const 256) (i32.const 8))))
      (call $say (local.get $mode) (call $item (local.get $mode)))
      (if (local.get $remove)
        (then (call $say (i32.const 739) (i32.const 80)))
        (else (call $say (i32.const 264) (i32.const 467)))))
    ;; answers comes before current_config, so what is answered is found first.
    (func $apply (param $in i32) (param $len i32)
      (local $host i32) (local $key i32)
      (if (call $find (local.get $in) (local.get $len) (i32.const 1270) (i32.const 15))
        (then (call $say (i32.const 915) (i32.const 160)) (return)))
      (local.set $host (call $find (local.get $in) (local.get $len) (i32.const 1246) (i32.const 7)))
      (local.set $key (call $find (local.get $in) (local.get $len) (i32.const 1253) (i32.const 10)))
      (if (i32.eqz (call $item (local.get $host)))
        (then (call $say (i32.const 1075) (i32.const 84)) (return)))
      (if (i32.eqz (call $item (local.get $key)))
        (then (call $say (i32.const 1159) (i32.const 87)) (return)))
      (call $say (i32.const 819) (i32.const 28))
      (call $say (local.get $host) (call $item (local.get $host)))
      (call $say (i32.const 847) (i32.const 22))
      (call $say (local.get $key) (call $item (local.get $key)))
      (call $say (i32.const 869) (i32.const 46)))
    (func (export "invoke") (param $op i32) (param $op-len i32) (param $in i32) (param $len i32) (result i32)
      (block $done
        (if (call $is (local.get $op) (local.get $op-len) (i32.const 1285) (i32.const 7))
          (then (call $questions (local.get $in) (local.get $len)) (br $done)))
        (if (call $is (local.get $op) (local.get $op-len) (i32.const 1292) (i32.const 13))
          (then (call $apply (local.get $in) (local.get $len)) (br $done)))
        (if (call $is (local.get $op) (local.get $op-len) (i32.const 1305) (i32.const 11))
          (then
            (call $say (i32.const 2103) (i32.const 10))
            (call $say (local.get $in) (local.get $len))
            (call $say (i32.const 2113) (i32.const 177))
            (br $done)))
        (if (call $is (local.get $op) (local.get $op-len) (i32.const 1316) (i32.const 4))
          (then (call $say (local.get $in) (local.get $len)) (br $done)))
        (call $say (i32.const 2290) (i32.const 37)))
      (call $said (i32.const 32)))
    (func (export "describe") (result i32)
      (call $say (i32.const 1320) (i32.const 783))
      (call $said (i32.const 32)))
    (func (export "healthy") (result i32)
      (call $say (i32.const 2327) (i32.const 11))
      (call $said (i32.const 32)))
    (func (export "validate-config") (param i32 i32) (result i32)
      (call $say (i32.const 2327) (i32.const 11))
      (call $said (i32.const 32))))
  (core instance $guest (instantiate $guest))

  (func $describe (result (list u8))
    (canon lift (core func $guest "describe") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $validate-config (param "config-json" (list u8)) (result (list u8))
    (canon lift (core func $guest "validate-config") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $healthcheck (result (list u8))
    (canon lift (core func $guest "healthy") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $invoke (param "op" string) (param "input-json" (list u8)) (result (list u8))
    (canon lift (core func $guest "invoke") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:provider-schema-core/schema-core-api@1.0.0")
    (export "describe" (func $describe))
    (export "validate-config" (func $validate-config))
    (export "healthcheck" (func $healthcheck))
    (export "invoke" (func $invoke))))
