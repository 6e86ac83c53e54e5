;; A guest that binds for itself, instantiated only where a case grants regions: the import module of the note's section 4.4.
(module
  (import "guest" "memory" (memory $m ${memory}))
  (import "bindery_memory" "bind" (func $bind (param i32 i32 i64 i64 i64 i32) (result i32)))
  (import "bindery_memory" "unbind" (func $unbind (param i32 i64 i64) (result i32)))
  (import "bindery_memory" "evict" (func $evict (param i32 i64 i64) (result i32)))
  (import "bindery_memory" "region_length" (func $length (param i32) (result i64)))
  (memory $plain i64 1)
  ;; region, region offset, length, address, mode
  (func (export "bind") (param i32 i64 i64 i64 i32) (result i32)
    (call $bind (i32.const 0) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "bind_plain") (param i32 i64 i64 i64 i32) (result i32)
    (call $bind (i32.const 1) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "bind_unknown") (param i32 i64 i64 i64 i32) (result i32)
    (call $bind (i32.const 2) (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "unbind") (param i64 i64) (result i32) (call $unbind (i32.const 0) (local.get 0) (local.get 1)))
  (func (export "evict") (param i64 i64) (result i32) (call $evict (i32.const 0) (local.get 0) (local.get 1)))
  (func (export "region_length") (param i32) (result i64) (call $length (local.get 0))))
