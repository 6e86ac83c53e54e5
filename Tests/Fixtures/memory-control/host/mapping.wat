;; What a guest of a virtual or mappable memory can do besides; instantiated only for those, over the guest's memory.
(module
  (import "guest" "memory" (memory $m ${memory}))
  (memory $own i64 1)
  (func (export "map_none") (param i64 i64) (result i64) (memory.map $m none (local.get 0) (local.get 1)))
  (func (export "map_read") (param i64 i64) (result i64) (memory.map $m read (local.get 0) (local.get 1)))
  (func (export "map") (param i64 i64) (result i64) (memory.map $m readwrite (local.get 0) (local.get 1)))
  (func (export "unmap") (param i64 i64) (memory.unmap $m (local.get 0) (local.get 1)))
  (func (export "protect_none") (param i64 i64) (memory.protect $m none (local.get 0) (local.get 1)))
  (func (export "protect_read") (param i64 i64) (memory.protect $m read (local.get 0) (local.get 1)))
  (func (export "protect") (param i64 i64) (memory.protect $m readwrite (local.get 0) (local.get 1)))
  ;; Copies to address 0 of a plain memory, and gives the first 8 bytes that arrived.
  (func (export "copy_out") (param i64 i64) (result i64)
    (memory.copy $own $m (i64.const 0) (local.get 0) (local.get 1))
    (i64.load $own (i64.const 0))))
