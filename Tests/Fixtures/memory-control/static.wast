;; Static sections: (noaccess n) pages, then (readonly n) pages, then the rest. They count in sizes, and are locked once the
;; module's own active segments are copied.

(module $M
  (memory (export "m") 1 3 (noaccess 1) (readonly 1))
  (data (i32.const 65536) "constants")
  (data (i32.const 131072) "variables")
  (func (export "size") (result i32) (memory.size))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "load32") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "store128") (param i32) (v128.store (local.get 0) (v128.const i64x2 -1 -1)))
  (func (export "lane") (param i32) (v128.store32_lane 1 (local.get 0) (v128.const i64x2 -1 -1)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "discard") (param i32 i32) (memory.discard (local.get 0) (local.get 1))))

(assert_return (invoke "size") (i32.const 3))
(assert_trap (invoke "load" (i32.const 0)) "protected memory access")
(assert_trap (invoke "load" (i32.const 65535)) "protected memory access")
(assert_trap (invoke "store" (i32.const 0) (i32.const 1)) "protected memory access")
(assert_return (invoke "load" (i32.const 65536)) (i32.const 99))
(assert_trap (invoke "store" (i32.const 65536) (i32.const 1)) "protected memory access")
(assert_return (invoke "load" (i32.const 65536)) (i32.const 99))
(assert_return (invoke "load" (i32.const 131072)) (i32.const 118))
(assert_return (invoke "store" (i32.const 131072) (i32.const 1)))
(assert_return (invoke "load" (i32.const 131072)) (i32.const 1))
(assert_trap (invoke "load" (i32.const 196608)) "out of bounds memory access")

;; Over the boundaries.
(assert_trap (invoke "load32" (i32.const 65533)) "protected memory access")
(assert_return (invoke "load32" (i32.const 131070)) (i32.const 0x61010000))
(assert_trap (invoke "store128" (i32.const 131060)) "protected memory access")
(assert_return (invoke "load" (i32.const 131072)) (i32.const 1))
(assert_trap (invoke "lane" (i32.const 131069)) "protected memory access")
(assert_return (invoke "store128" (i32.const 131072)))
(assert_return (invoke "lane" (i32.const 131072)))

(assert_return (invoke "copy" (i32.const 131080) (i32.const 65536) (i32.const 9)))
(assert_return (invoke "load" (i32.const 131088)) (i32.const 115))
(assert_trap (invoke "copy" (i32.const 65536) (i32.const 131072) (i32.const 1)) "protected memory access")
(assert_trap (invoke "copy" (i32.const 131072) (i32.const 0) (i32.const 1)) "protected memory access")
(assert_return (invoke "copy" (i32.const 0) (i32.const 0) (i32.const 0)))
(assert_trap (invoke "fill" (i32.const 131071) (i32.const 0) (i32.const 2)) "protected memory access")
(assert_trap (invoke "discard" (i32.const 0) (i32.const 65536)) "protected memory access")
(assert_trap (invoke "discard" (i32.const 65536) (i32.const 131072)) "protected memory access")
(assert_return (invoke "load" (i32.const 131088)) (i32.const 115))
(assert_return (invoke "discard" (i32.const 131072) (i32.const 65536)))
(assert_return (invoke "load" (i32.const 131088)) (i32.const 0))

;; Growing reaches exactly the maximum, sections included, and does not move protections.
(assert_return (invoke "grow" (i32.const 3)) (i32.const -1))
(assert_return (invoke "grow" (i32.const 2)) (i32.const 3))
(assert_return (invoke "grow" (i32.const 1)) (i32.const -1))
(assert_return (invoke "size") (i32.const 5))
(assert_return (invoke "store" (i32.const 327679) (i32.const 1)))
(assert_trap (invoke "load" (i32.const 0)) "protected memory access")
(assert_trap (invoke "store" (i32.const 131071) (i32.const 1)) "protected memory access")

;; Another module's active segment meets the lock; what came before it stays.
(register "M" $M)
(assert_trap
  (module (import "M" "m" (memory 1 3 (noaccess 1) (readonly 1))) (data (i32.const 131072) "kept") (data (i32.const 65536) "x"))
  "protected memory access")
(assert_return (invoke $M "load" (i32.const 131072)) (i32.const 107))
(assert_return (invoke $M "load" (i32.const 65536)) (i32.const 99))

;; The start function runs after the lock.
(assert_trap
  (module (memory 1 1 (readonly 1)) (func $start (i32.store (i32.const 0) (i32.const 1))) (start $start))
  "protected memory access")

;; Pages of one byte: the section is as long as it says.
(module
  (memory 8 (pagesize 1) (noaccess 16))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "load64") (param i32) (result i64) (i64.load (local.get 0))))
(assert_trap (invoke "load" (i32.const 0)) "protected memory access")
(assert_trap (invoke "load" (i32.const 15)) "protected memory access")
(assert_return (invoke "load" (i32.const 16)) (i32.const 0))
(assert_trap (invoke "load64" (i32.const 15)) "protected memory access")
(assert_return (invoke "load64" (i32.const 16)) (i64.const 0))
(assert_trap (invoke "load64" (i32.const 17)) "out of bounds memory access")
