;; The provider contract: greentic:component/{descriptor,runtime,qa,component-i18n} 0.6.1. It asks for host,
;; port, api_key and note; without host or api_key there is no configuration, else there is one with both in
;; clear. Its texts are English, and German for locales that begin with de.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the questions, around their mode
    (data (i32.const 256) "\a5dmode")
    (data (i32.const 262) "etitle\a1ckeylmailer.titlehdefaults\a0iquestions\84\a5biddhostdhelp\a1ckeypmailer.host.helpd"
      "kind\a1dtypedtextelabel\a1ckeykmailer.hosthrequired\f5\a5biddportdkind\a1dtypedtextelabel\a1"
      "ckeykmailer.portgdefault\19\02Khrequired\f4\a4bidgapi_keydkind\a1dtypedtextelabel\a1ckeynmai"
      "ler.api_keyhrequired\f5\a4biddnotedkind\a1dtypedtextelabel\a1ckeykmailer.notehrequired\f4kde"
      "scription\f6")
    ;; no questions, around the mode
    (data (i32.const 596) "\a5dmode")
    (data (i32.const 602) "etitle\a1ckeylmailer.titlehdefaults\a0iquestions\80kdescription\f6")
    (data (i32.const 660) "gdefault")
    (data (i32.const 668) "esetup")
    (data (i32.const 674) "gupgrade")
    (data (i32.const 682) "fremove")
    ;; a configuration, around the values of host and api_key
    (data (i32.const 689) "\a5bok\f5eerror\f6fconfig\a3dhost")
    (data (i32.const 714) "dport\19\02Kgapi_key")
    (data (i32.const 730) "fremove\f6kdiagnostics\80")
    ;; what remove gives, and what without a host and without a key
    (data (i32.const 751) "\a5bok\f5eerror\f6fconfig\f6fremove\a2gcleanup\82qdelete_config_keyx)best_effort_delete_prov"
      "ider_owned_secretsjremove_all\f5kdiagnostics\80")
    (data (i32.const 874) "\a5bok\f4eerrorphost is requiredfconfig\f6fremove\f6kdiagnostics\80")
    (data (i32.const 931) "\a5bok\f4eerrorsapi_key is requiredfconfig\f6fremove\f6kdiagnostics\80")
    ;; the keys that are looked for
    (data (i32.const 991) "dhost")
    (data (i32.const 996) "gapi_key")
    ;; the modes as (pointer, length)
    (data (i32.const 1004) "\94\02\00\00\08\00\00\00\9c\02\00\00\06\00\00\00\a2\02\00\00\08\00\00\00\aa\02\00\00\07\00\00"
      "\00")
    ;; what describe gives
    (data (i32.const 1036) "\a8eworldrcomponent-v0-v6-v0hproviderfmailerjoperations\81\a3dnamedsendetitle\a1ckeykmailer."
      "sendkdescription\a1ckeypmailer.send.textjredactions\81\a2dpathi$.api_keyhstrategygreplaceksc"
      "hema_hashx@0000000000000000000000000000000000000000000000000000000000000000linput_schema\a3d"
      "kindfobjectffields\a0uadditional_properties\f5mconfig_schema\a3dkindfobjectffields\a4dhost\a2"
      "fschema\a2dkindfstringfsecret\f4hrequired\f5dnote\a2fschema\a2dkindfstringfsecret\f4hrequire"
      "d\f4dport\a2fschema\a2dkindcu64fsecret\f4hrequired\f4gapi_key\a2fschema\a2dkindfstringfsecre"
      "t\f5hrequired\f5uadditional_properties\f4moutput_schema\a3dkindfobjectffields\a0uadditional_"
      "properties\f5")
    ;; the keys of the texts
    (data (i32.const 1630) "mailer.api_key")
    (data (i32.const 1644) "mailer.host")
    (data (i32.const 1655) "mailer.host.help")
    (data (i32.const 1671) "mailer.note")
    (data (i32.const 1682) "mailer.port")
    (data (i32.const 1693) "mailer.title")
    (data (i32.const 1708) "^\06\00\00\0e\00\00\00l\06\00\00\0b\00\00\00w\06\00\00\10\00\00\00\87\06\00\00\0b\00\00\00\92"
      "\06\00\00\0b\00\00\00\9d\06\00\00\0c\00\00\00")
    (data (i32.const 1756) "\ac\06\00\00\06\00\00\00")
    ;; the texts, English and German, before their locale
    (data (i32.const 1764) "\a2hmessages\a6kmailer.hostiMail hostkmailer.notedNotekmailer.portdPortlmailer.titlefMailern"
      "mailer.api_keygAPI keypmailer.host.helpvThe name of the serverflocale")
    (data (i32.const 1921) "\a2hmessages\a6kmailer.hostjMailserverkmailer.noteeNotizkmailer.portdPortlmailer.titlekBrief"
      "kastennmailer.api_keyjSchl\c3\bcsselpmailer.host.helptDer Name des Serversflocale")
    (data (i32.const 2086) "\a2bok\f4eerrornunsupported op")
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
    (func $byte (param $b i32)
      (i32.store8 (global.get $end) (local.get $b))
      (global.set $end (i32.add (global.get $end) (i32.const 1))))
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
    ;; The length of the CBOR text at a place, 0 where there is none.
    (func $item (param $at i32) (result i32)
      (local $head i32)
      (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
      (local.set $head (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $head) (i32.const 0x78))
        (then (return (i32.add (i32.load8_u offset=1 (local.get $at)) (i32.const 2)))))
      (if (i32.eq (i32.and (local.get $head) (i32.const 0xe0)) (i32.const 0x60))
        (then (return (i32.add (i32.and (local.get $head) (i32.const 0x1f)) (i32.const 1)))))
      (i32.const 0))
    (func (export "qa-spec") (param $mode i32) (result i32)
      (local $name i32)
      (local.set $name (i32.add (i32.const 1004) (i32.mul (local.get $mode) (i32.const 8))))
      (if (i32.eq (local.get $mode) (i32.const 3))
        (then (call $say (i32.const 596) (i32.const 6)))
        (else (call $say (i32.const 256) (i32.const 6))))
      (call $say (i32.load (local.get $name)) (i32.load offset=4 (local.get $name)))
      (if (i32.eq (local.get $mode) (i32.const 3))
        (then (call $say (i32.const 602) (i32.const 58)))
        (else (call $say (i32.const 262) (i32.const 334))))
      (call $said (i32.const 32)))
    ;; An upgrade finds what is not answered in existing_config: of one name, it comes later.
    (func (export "apply-answers") (param $mode i32) (param $answers i32) (param $len i32) (result i32)
      (local $host i32) (local $key i32)
      (if (i32.eq (local.get $mode) (i32.const 3))
        (then
          (call $say (i32.const 751) (i32.const 123))
          (return (call $said (i32.const 32)))))
      (local.set $host (call $find (local.get $answers) (local.get $len) (i32.const 991) (i32.const 5)))
      (local.set $key (call $find (local.get $answers) (local.get $len) (i32.const 996) (i32.const 8)))
      (if (i32.eqz (call $item (local.get $host)))
        (then
          (call $say (i32.const 874) (i32.const 57))
          (return (call $said (i32.const 32)))))
      (if (i32.eqz (call $item (local.get $key)))
        (then
          (call $say (i32.const 931) (i32.const 60))
          (return (call $said (i32.const 32)))))
      (call $say (i32.const 689) (i32.const 25))
      (call $say (local.get $host) (call $item (local.get $host)))
      (call $say (i32.const 714) (i32.const 16))
      (call $say (local.get $key) (call $item (local.get $key)))
      (call $say (i32.const 730) (i32.const 21))
      (call $said (i32.const 32)))
    (func (export "describe") (result i32)
      (call $say (i32.const 1036) (i32.const 594))
      (call $said (i32.const 32)))
    (func (export "i18n-keys") (result i32) (i32.const 1756))
    (func (export "i18n-bundle") (param $locale i32) (param $len i32) (result i32)
      (if (i32.eq (i32.load16_u (local.get $locale)) (i32.const 0x6564)) ;; de
        (then (call $say (i32.const 1921) (i32.const 165)))
        (else (call $say (i32.const 1764) (i32.const 157))))
      (call $byte (i32.const 0x78))
      (call $byte (local.get $len))
      (call $say (local.get $locale) (local.get $len))
      (call $said (i32.const 32)))
    ;; The operation echo gives the input back; no other is supported.
    (func (export "invoke") (param $op i32) (param $op-len i32) (param $input i32) (param $len i32) (result i32)
      (if (i32.eq (i32.load8_u (local.get $op)) (i32.const 0x65))
        (then (call $say (local.get $input) (local.get $len)))
        (else (call $say (i32.const 2086) (i32.const 26))))
      (call $said (i32.const 32))))
  (core instance $guest (instantiate $guest))

  (type $mode (enum "default" "setup" "upgrade" "remove"))
  (func $describe (result (list u8))
    (canon lift (core func $guest "describe") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $invoke (param "op" string) (param "input-cbor" (list u8)) (result (list u8))
    (canon lift (core func $guest "invoke") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $qa-spec (param "mode" $mode) (result (list u8))
    (canon lift (core func $guest "qa-spec") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $apply-answers (param "mode" $mode) (param "answers-cbor" (list u8)) (result (list u8))
    (canon lift (core func $guest "apply-answers") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $i18n-keys (result (list string))
    (canon lift (core func $guest "i18n-keys") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $i18n-bundle (param "locale" string) (result (list u8))
    (canon lift (core func $guest "i18n-bundle") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/descriptor@0.6.1")
    (export "describe" (func $describe)))

  (instance (export "greentic:component/runtime@0.6.1")
    (export "invoke" (func $invoke)))

  (instance (export "greentic:component/qa@0.6.1")
    (export "mode" (type $mode))
    (export "qa-spec" (func $qa-spec))
    (export "apply-answers" (func $apply-answers)))

  (instance (export "greentic:component/component-i18n@0.6.1")
    (export "i18n-keys" (func $i18n-keys))
    (export "i18n-bundle" (func $i18n-bundle))))
