;; Active segments map the unmapped pages they need, readable and writable.
(module
  (memory virtual 4 4)
  (data (i32.const 65534) "abcd")
  (data (i32.const 65540) "efgh")
  (data (i32.const 196608) "")
  (data $passive "xyz")
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "init") (param i32) (memory.init $passive (local.get 0) (i32.const 0) (i32.const 3))))
(assert_return (invoke "load" (i32.const 0)) (i32.const 0))
(assert_return (invoke "load" (i32.const 65534)) (i32.const 97))
(assert_return (invoke "load" (i32.const 65537)) (i32.const 100))
(assert_return (invoke "load" (i32.const 65543)) (i32.const 104))
(assert_return (invoke "store" (i32.const 65543) (i32.const 1)))
;; Not those they do not touch; an empty one touches none.
(assert_trap (invoke "load" (i32.const 131072)) "unmapped memory access")
(assert_trap (invoke "load" (i32.const 196608)) "unmapped memory access")
;; Passive ones map nothing.
(assert_trap (invoke "init" (i32.const 131072)) "unmapped memory access")
(assert_trap (invoke "init" (i32.const 131070)) "unmapped memory access")
(assert_return (invoke "load" (i32.const 131070)) (i32.const 0))
(assert_return (invoke "init" (i32.const 0)))

;; Bounds: of the size, not of the maximum; also for an empty one.
(assert_trap (module (memory virtual 1 4) (data (i32.const 65535) "ab")) "out of bounds memory access")
(assert_trap (module (memory virtual 1 4) (data (i32.const 65537) "")) "out of bounds memory access")
(module (memory virtual 1 4) (data (i32.const 65536) ""))

;; An importer's segments map pages too; one that meets a page that refuses maps and writes nothing, and what came before stays.
(module $E
  (memory (export "m") virtual 4 4)
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "map-read") (param i32) (drop (memory.map read (local.get 0) (i32.const 65536)))))
(register "E" $E)
(module (import "E" "m" (memory virtual 4 4)) (data (i32.const 10) "a"))
(assert_return (invoke $E "load" (i32.const 10)) (i32.const 97))
(invoke $E "map-read" (i32.const 131072))
(assert_trap
  (module (import "E" "m" (memory virtual 4 4)) (data (i32.const 11) "b") (data (i32.const 131071) "cd") (data (i32.const 12) "e"))
  "protected memory access")
(assert_return (invoke $E "load" (i32.const 11)) (i32.const 98))
(assert_return (invoke $E "load" (i32.const 12)) (i32.const 0))
(assert_trap (invoke $E "load" (i32.const 131071)) "unmapped memory access")
