;; The guest of the host scripts. The runner replaces ${memory} by the case's memory type: a 64-bit one, always.
(module
  (memory $m (export "memory") ${memory})
  (func (export "size") (result i64) (memory.size $m))
  (func (export "grow") (param i64) (result i64) (memory.grow $m (local.get 0)))
  (func (export "load8") (param i64) (result i32) (i32.load8_u $m (local.get 0)))
  (func (export "load64") (param i64) (result i64) (i64.load $m (local.get 0)))
  (func (export "store8") (param i64 i32) (i32.store8 $m (local.get 0) (local.get 1)))
  (func (export "store64") (param i64 i64) (i64.store $m (local.get 0) (local.get 1)))
  (func (export "fill") (param i64 i32 i64) (memory.fill $m (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i64 i64 i64) (memory.copy $m $m (local.get 0) (local.get 1) (local.get 2)))
  (func (export "discard") (param i64 i64) (memory.discard $m (local.get 0) (local.get 1)))
  (func (export "try_discard") (param i64 i64) (result i32) (memory.try_discard $m (local.get 0) (local.get 1)))
  ;; The sum of the bytes of a range, byte by byte.
  (func (export "sum") (param $address i64) (param $size i64) (result i64) (local $end i64) (local $sum i64)
    (local.set $end (i64.add (local.get $address) (local.get $size)))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $address) (local.get $end)))
        (local.set $sum (i64.add (local.get $sum) (i64.load8_u $m (local.get $address))))
        (local.set $address (i64.add (local.get $address) (i64.const 1)))
        (br $next)))
    (local.get $sum)))
