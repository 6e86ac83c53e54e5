(module (memory virtual 0 1))
(module (memory i64 virtual 16 1048576))
(module (memory 2 64 (noaccess 1) (readonly 4)))
(module (memory 16 4096 (mappable 1024)))
(module (memory 4 (pagesize 1) (noaccess 16)))
(module (memory $a virtual 1 1) (memory $b 1) (memory $c 1 1 (readonly 1)))
;; The order of attributes does not matter; a static section may have no pages.
(module (memory 2 64 (readonly 4) (noaccess 1)))
(module (memory 1 (noaccess 0)))

(assert_invalid (module (memory virtual 1)) "virtual memory must have maximum")
(assert_invalid (module (memory 1 (mappable 1))) "virtual memory must have maximum")
(assert_invalid (module (memory virtual 1 1 (pagesize 1))) "virtual memory must have default page size")
(assert_invalid (module (memory 1 1 (pagesize 1) (mappable 1))) "virtual memory must have default page size")
(assert_invalid (module (memory virtual 1 1 (readonly 1))) "conflicting memory attributes")
;; an attribute of value 0 is there all the same
(assert_invalid (module (memory virtual 1 1 (readonly 0))) "conflicting memory attributes")
(assert_invalid (module (memory 1 4 (mappable 0))) "mappable size must not exceed maximum")
(assert_invalid (module (memory virtual 1 1 (noaccess 1))) "conflicting memory attributes")
(assert_invalid (module (memory virtual 1 1 (mappable 1))) "conflicting memory attributes")
(assert_invalid (module (memory 1 1 (mappable 1) (noaccess 1))) "conflicting memory attributes")
(assert_invalid (module (memory 1 1 (mappable 1) (readonly 1))) "conflicting memory attributes")
(assert_invalid (module (memory 1 2 (mappable 3))) "mappable size must not exceed maximum")
(assert_invalid (module (memory 0 65535 (noaccess 1) (readonly 1))) "memory size")
(assert_invalid (module (memory 65535 (readonly 2))) "memory size")
;; Two rules broken: the first in the table decides.
(assert_invalid (module (memory virtual 1 (pagesize 1) (readonly 1))) "virtual memory must have maximum")
(assert_invalid (module (memory virtual 1 1 (pagesize 1) (readonly 1))) "virtual memory must have default page size")
(module (memory 1 1 (mappable 1)))
(module (memory 0 4 (mappable 4)))

(assert_malformed (module quote "(memory 1 1 (readonly 1) (readonly 2))") "duplicate memory attribute")
(assert_malformed (module quote "(memory 1 1 (sealed 1))") "unexpected token")
(assert_malformed (module quote "(memory virtual (data \"a\"))") "unexpected token")
(assert_malformed
  (module quote "(memory virtual 1 1) (func (drop (memory.map write (i32.const 0) (i32.const 0))))") "unexpected token")

;; map, unmap and protect need a virtual or mappable memory; discard and try_discard any.
(assert_invalid
  (module (memory 1 1) (func (drop (memory.map read (i32.const 0) (i32.const 0))))) "memory is not virtual")
(assert_invalid (module (memory 1 1) (func (memory.unmap (i32.const 0) (i32.const 0)))) "memory is not virtual")
(assert_invalid
  (module (memory 1 1 (readonly 1)) (func (memory.protect read (i32.const 0) (i32.const 0)))) "memory is not virtual")
(assert_invalid
  (module (memory virtual 1 1) (memory $p 1) (func (memory.unmap $p (i32.const 0) (i32.const 0)))) "memory is not virtual")
(module (memory 1 1 (mappable 1)) (func (drop (memory.map read (i32.const 0) (i32.const 0)))))
(module (memory 1 (readonly 1)) (func (memory.discard (i32.const 0) (i32.const 0))))

(assert_invalid (module (func (memory.discard (i32.const 0) (i32.const 0)))) "unknown memory")
(assert_invalid (module (memory 1) (func (memory.discard 1 (i32.const 0) (i32.const 0)))) "unknown memory")
(assert_invalid (module (func (drop (memory.try_discard (i32.const 0) (i32.const 0))))) "unknown memory")

;; Operands have the address type; map gives one back, try_discard an i32.
(module (memory i64 virtual 1 1) (func (result i64) (memory.map readwrite (i64.const 0) (i64.const 0))))
(module (memory i64 1) (func (result i32) (memory.try_discard (i64.const 0) (i64.const 0))))
(assert_invalid (module (memory i64 1) (func (memory.discard (i32.const 0) (i32.const 0)))) "type mismatch")
(assert_invalid (module (memory i64 1) (func (memory.discard (i64.const 0) (i32.const 0)))) "type mismatch")
(assert_invalid (module (memory 1) (func (memory.discard (i64.const 0) (i64.const 0)))) "type mismatch")
(assert_invalid
  (module (memory i64 virtual 1 1) (func (result i32) (memory.map read (i64.const 0) (i64.const 0)))) "type mismatch")
(assert_invalid
  (module (memory i64 1) (func (result i64) (memory.try_discard (i64.const 0) (i64.const 0)))) "type mismatch")
(assert_invalid (module (memory virtual 1 1) (func (memory.map read (i32.const 0) (i32.const 0)))) "type mismatch")
(assert_invalid (module (memory virtual 1 1) (func (memory.protect read (i32.const 0)))) "type mismatch")

;; None of them is constant.
(assert_invalid
  (module (memory 1) (global i32 (memory.try_discard (i32.const 0) (i32.const 0)))) "constant expression required")
