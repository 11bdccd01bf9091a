;; greentic:component/component-runtime 0.6.0: gives {"input": …, "state": …} and a new state.
(component
  (core module $guest
    (memory (export "memory") 2)
    ;; the new state
    (data (i32.const 256) "\a1druns\01")
    ;; what is around input and state
    (data (i32.const 128) "\a2\65input")
    (data (i32.const 144) "\65state")
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
    (func (export "run") (param $input i32) (param $input-len i32) (param $state i32) (param $state-len i32) (result i32)
      (call $say (i32.const 128) (i32.const 7))
      (call $say (local.get $input) (local.get $input-len))
      (call $say (i32.const 144) (i32.const 6))
      (call $say (local.get $state) (local.get $state-len))
      (drop (call $said (i32.const 32)))
      (i32.store (i32.const 40) (i32.const 256))
      (i32.store (i32.const 44) (i32.const 7))
      (i32.const 32)))
  (core instance $guest (instantiate $guest))

  (type $run-result (record (field "output" (list u8)) (field "new-state" (list u8))))
  (func $run (param "input" (list u8)) (param "state" (list u8)) (result $run-result)
    (canon lift (core func $guest "run") (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))

  (instance (export "greentic:component/component-runtime@0.6.0")
    (export "run-result" (type $run-result))
    (export "run" (func $run))))
