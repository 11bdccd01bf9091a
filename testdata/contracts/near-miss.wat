;; An interface by the right name, one function of which has the wrong type: a mode is text here.
(component
  (core module $guest
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1))))))
      (local.get $at))
    (func (export "qa-spec") (param i32 i32) (result i32) (unreachable))
    (func (export "apply-answers") (param i32 i32 i32) (result i32) (unreachable)))
  (core instance $guest (instantiate $guest))

  (type $mode (enum "default" "setup" "upgrade" "remove"))
  (func $qa-spec (param "mode" string) (result (list u8))
    (canon lift (core func $guest "qa-spec") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (func $apply-answers (param "mode" $mode) (param "answers-cbor" (list u8)) (result (list u8))
    (canon lift (core func $guest "apply-answers") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/qa@0.6.1")
    (export "mode" (type $mode))
    (export "qa-spec" (func $qa-spec))
    (export "apply-answers" (func $apply-answers))))
