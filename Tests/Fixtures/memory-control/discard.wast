;; memory.discard and memory.try_discard on memories without page states.

(module
  (memory $m 3 4)
  (memory $other 1)
  (func (export "size") (result i32) (memory.size $m))
  (func (export "grow") (param i32) (result i32) (memory.grow $m (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.load8_u $m (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 $m (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32 i32) (memory.fill $m (local.get 0) (local.get 1) (local.get 2)))
  (func (export "discard") (param i32 i32) (memory.discard $m (local.get 0) (local.get 1)))
  (func (export "try") (param i32 i32) (result i32) (memory.try_discard $m (local.get 0) (local.get 1)))
  (func (export "load-other") (param i32) (result i32) (i32.load8_u $other (local.get 0)))
  (func (export "store-other") (param i32 i32) (i32.store8 $other (local.get 0) (local.get 1)))
  (func (export "discard-other") (param i32 i32) (memory.discard $other (local.get 0) (local.get 1))))

;; The middle page of three becomes zero, its neighbours keep their bytes.
(invoke "fill" (i32.const 0) (i32.const 7) (i32.const 196608))
(invoke "store-other" (i32.const 65535) (i32.const 9))
(assert_return (invoke "discard" (i32.const 65536) (i32.const 65536)))
(assert_return (invoke "load" (i32.const 65535)) (i32.const 7))
(assert_return (invoke "load" (i32.const 65536)) (i32.const 0))
(assert_return (invoke "load" (i32.const 100000)) (i32.const 0))
(assert_return (invoke "load" (i32.const 131071)) (i32.const 0))
(assert_return (invoke "load" (i32.const 131072)) (i32.const 7))
(assert_return (invoke "load-other" (i32.const 65535)) (i32.const 9))

;; It stays mapped: it can be written, and discarded again.
(assert_return (invoke "store" (i32.const 65536) (i32.const 5)))
(assert_return (invoke "load" (i32.const 65536)) (i32.const 5))
(assert_return (invoke "try" (i32.const 65536) (i32.const 65536)) (i32.const 0))
(assert_return (invoke "load" (i32.const 65536)) (i32.const 0))

;; No bytes: nothing is done, also at the end; past it the bounds count.
(assert_return (invoke "discard" (i32.const 0) (i32.const 0)))
(assert_return (invoke "discard" (i32.const 196608) (i32.const 0)))
(assert_return (invoke "try" (i32.const 196608) (i32.const 0)) (i32.const 0))
(assert_return (invoke "load" (i32.const 0)) (i32.const 7))
(assert_trap (invoke "discard" (i32.const 262144) (i32.const 0)) "out of bounds memory access")

;; Alignment comes before bounds, for both operands.
(assert_trap (invoke "discard" (i32.const 1) (i32.const 65536)) "unaligned memory access")
(assert_trap (invoke "discard" (i32.const 0) (i32.const 65537)) "unaligned memory access")
(assert_trap (invoke "discard" (i32.const 4096) (i32.const 4096)) "unaligned memory access")
(assert_trap (invoke "discard" (i32.const 0x7fff0001) (i32.const 0x7fff0000)) "unaligned memory access")
(assert_trap (invoke "try" (i32.const 1) (i32.const 0)) "unaligned memory access")
(assert_trap (invoke "discard" (i32.const 0) (i32.const 262144)) "out of bounds memory access")
(assert_trap (invoke "discard" (i32.const 131072) (i32.const 131072)) "out of bounds memory access")
(assert_trap (invoke "discard" (i32.const 0xffff0000) (i32.const 65536)) "out of bounds memory access")
(assert_trap (invoke "discard" (i32.const 65536) (i32.const 0xffff0000)) "out of bounds memory access")
(assert_trap (invoke "try" (i32.const 0) (i32.const 262144)) "out of bounds memory access")
;; A trap has changed nothing.
(assert_return (invoke "load" (i32.const 0)) (i32.const 7))
(assert_return (invoke "load" (i32.const 131072)) (i32.const 7))

;; After growing, old and new pages can be discarded.
(assert_return (invoke "grow" (i32.const 1)) (i32.const 3))
(invoke "fill" (i32.const 131072) (i32.const 8) (i32.const 131072))
(assert_return (invoke "discard" (i32.const 131072) (i32.const 131072)))
(assert_return (invoke "load" (i32.const 131072)) (i32.const 0))
(assert_return (invoke "load" (i32.const 262143)) (i32.const 0))
(assert_return (invoke "load" (i32.const 0)) (i32.const 7))
(assert_return (invoke "size") (i32.const 4))

(assert_return (invoke "discard-other" (i32.const 0) (i32.const 65536)))
(assert_return (invoke "load-other" (i32.const 65535)) (i32.const 0))
(assert_return (invoke "load" (i32.const 65535)) (i32.const 7))

;; Contents of a data segment can be discarded; memory.init restores them.
(module
  (memory 1)
  (data $d (i32.const 10) "abc")
  (data $p "xyz")
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "discard") (memory.discard (i32.const 0) (i32.const 65536)))
  (func (export "init") (memory.init $p (i32.const 10) (i32.const 0) (i32.const 3))))
(assert_return (invoke "load" (i32.const 10)) (i32.const 97))
(invoke "discard")
(assert_return (invoke "load" (i32.const 10)) (i32.const 0))
(invoke "init")
(assert_return (invoke "load" (i32.const 12)) (i32.const 122))

;; 64 bits: sums do not wrap around.
(module
  (memory i64 2 4)
  (func (export "load") (param i64) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i64 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "discard") (param i64 i64) (memory.discard (local.get 0) (local.get 1)))
  (func (export "try") (param i64 i64) (result i32) (memory.try_discard (local.get 0) (local.get 1))))
(invoke "store" (i64.const 65536) (i32.const 3))
(assert_return (invoke "try" (i64.const 65536) (i64.const 65536)) (i32.const 0))
(assert_return (invoke "load" (i64.const 65536)) (i32.const 0))
(assert_trap (invoke "discard" (i64.const 0xffffffffffff0000) (i64.const 65536)) "out of bounds memory access")
(assert_trap (invoke "discard" (i64.const 65536) (i64.const 0xffffffffffff0000)) "out of bounds memory access")
(assert_trap (invoke "discard" (i64.const 0xffffffffffff0000) (i64.const 0xffffffffffff0000)) "out of bounds memory access")
(assert_trap (invoke "discard" (i64.const 0x100000000) (i64.const 0)) "out of bounds memory access")
(assert_trap (invoke "discard" (i64.const 0xffffffffffffffff) (i64.const 65536)) "unaligned memory access")

;; Pages of one byte: every range is aligned, and every byte of it zeroed.
(module
  (memory 20000 (pagesize 1))
  (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 20000)))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "discard") (param i32 i32) (memory.discard (local.get 0) (local.get 1)))
  (func (export "try") (param i32 i32) (result i32) (memory.try_discard (local.get 0) (local.get 1))))
(invoke "fill")
(assert_return (invoke "discard" (i32.const 3) (i32.const 1)))
(assert_return (invoke "load" (i32.const 2)) (i32.const 1))
(assert_return (invoke "load" (i32.const 3)) (i32.const 0))
(assert_return (invoke "load" (i32.const 4)) (i32.const 1))
;; Part of a host page is zeroed in place: 1.
(assert_return (invoke "try" (i32.const 5) (i32.const 19000)) (i32.const 1))
(assert_return (invoke "load" (i32.const 4)) (i32.const 1))
(assert_return (invoke "load" (i32.const 5)) (i32.const 0))
(assert_return (invoke "load" (i32.const 10000)) (i32.const 0))
(assert_return (invoke "load" (i32.const 19004)) (i32.const 0))
(assert_return (invoke "load" (i32.const 19005)) (i32.const 1))
(assert_trap (invoke "discard" (i32.const 1) (i32.const 20000)) "out of bounds memory access")
