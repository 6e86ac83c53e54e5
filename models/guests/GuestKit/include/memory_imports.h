// The memories beside memory 0, as functions.
//
// LLVM has one address space for wasm, so a load from another memory is written as a call of a function of the import
// module "memory:<name>". `bindery lower` replaces each call by the instruction itself, on the memory of that name, and
// drops the import. The field name is the text of the instruction with its immediates: `@16` is the offset 16, `#2` lane 2.
// Parameters and result are those of the instruction; addresses are 64-bit.
//
// The offsets that are listed here become immediates: `weights_load(p, 24)` is `v128.load offset=24`, without an addition.
// An offset must be a constant that the compiler can see, and one of the list: any other traps.
#ifndef BINDERY_GUEST_MEMORY_IMPORTS_H
#define BINDERY_GUEST_MEMORY_IMPORTS_H

#include "simd.h"

#define GUEST_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

// --- Loads of memory `weights`

#define WEIGHTS_LOAD(offset)                                                                                            \
  GUEST_IMPORT("memory:weights", "v128.load@" #offset) i8x16 weights_v128_load_##offset(uint64_t address);
#define WEIGHTS_LOAD32_SPLAT(offset)                                                                                    \
  GUEST_IMPORT("memory:weights", "v128.load32_splat@" #offset) i8x16 weights_v128_load32_splat_##offset(uint64_t address);
#define WEIGHTS_LOAD32_LANE(offset, lane)                                                                               \
  GUEST_IMPORT("memory:weights", "v128.load32_lane@" #offset "#" #lane)                                                 \
  i8x16 weights_v128_load32_lane_##offset##_##lane(uint64_t address, i8x16 vector);
#define WEIGHTS_LOAD16_LANE(offset, lane)                                                                               \
  GUEST_IMPORT("memory:weights", "v128.load16_lane@" #offset "#" #lane)                                                 \
  i8x16 weights_v128_load16_lane_##offset##_##lane(uint64_t address, i8x16 vector);

#define WEIGHTS_LOAD_OFFSETS(X)                                                                                         \
  X(0) X(2) X(4) X(6) X(8) X(16) X(18) X(20) X(24) X(32) X(36) X(38) X(44) X(48) X(52) X(56) X(64) X(70) X(86) X(104) X(120)
#define WEIGHTS_LOAD32_SPLAT_OFFSETS(X)                                                                                 \
  X(0) X(2) X(4) X(6) X(8) X(10) X(12) X(14) X(16) X(18) X(20) X(22) X(24) X(26) X(28) X(30) X(40) X(60)
#define WEIGHTS_LANE_OFFSETS(X, lane) X(0, lane) X(18, lane) X(20, lane) X(34, lane)                                        \
  X(36, lane) X(40, lane) X(54, lane) X(60, lane) X(68, lane) X(102, lane)

WEIGHTS_LOAD_OFFSETS(WEIGHTS_LOAD)
WEIGHTS_LOAD32_SPLAT_OFFSETS(WEIGHTS_LOAD32_SPLAT)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD32_LANE, 0)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD32_LANE, 1)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD32_LANE, 2)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD32_LANE, 3)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD16_LANE, 1)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD16_LANE, 3)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD16_LANE, 5)
WEIGHTS_LANE_OFFSETS(WEIGHTS_LOAD16_LANE, 7)

GUEST_IMPORT("memory:weights", "f32.load") float weights_f32_load(uint64_t address);
GUEST_IMPORT("memory:weights", "i32.load8_u") uint32_t weights_i32_load8_u(uint64_t address);
GUEST_IMPORT("memory:weights", "i32.load16_u") uint32_t weights_i32_load16_u(uint64_t address);
GUEST_IMPORT("memory:weights", "i32.load") uint32_t weights_i32_load(uint64_t address);

#define GUEST_CASE_LOAD(offset) case offset: return weights_v128_load_##offset(address);
GUEST_INLINE i8x16 weights_load(uint64_t address, int offset) {
  switch (offset) { WEIGHTS_LOAD_OFFSETS(GUEST_CASE_LOAD) default: __builtin_trap(); }
}
GUEST_INLINE f32x4 weights_load_f32x4(uint64_t address, int offset) { return (f32x4)weights_load(address, offset); }

#define GUEST_CASE_SPLAT(offset) case offset: return weights_v128_load32_splat_##offset(address);
GUEST_INLINE i8x16 weights_load32_splat(uint64_t address, int offset) {
  switch (offset) { WEIGHTS_LOAD32_SPLAT_OFFSETS(GUEST_CASE_SPLAT) default: __builtin_trap(); }
}

#define GUEST_CASE_LANE32(offset, lane)                                                                                 \
  case offset * 8 + lane: return weights_v128_load32_lane_##offset##_##lane(address, vector);
/// The 32 bits at the address become lane `lane` of the vector.
GUEST_INLINE i8x16 weights_load32_lane(uint64_t address, int offset, int lane, i8x16 vector) {
  switch (offset * 8 + lane) {
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE32, 0)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE32, 1)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE32, 2)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE32, 3)
    default: __builtin_trap();
  }
}
#define GUEST_CASE_LANE16(offset, lane)                                                                                 \
  case offset * 8 + lane: return weights_v128_load16_lane_##offset##_##lane(address, vector);
/// The 16 bits at the address become the high half of 32-bit lane `lane` of the vector.
GUEST_INLINE i8x16 weights_load16_high(uint64_t address, int offset, int lane, i8x16 vector) {
  switch (offset * 8 + 2 * lane + 1) {
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE16, 1)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE16, 3)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE16, 5)
    WEIGHTS_LANE_OFFSETS(GUEST_CASE_LANE16, 7)
    default: __builtin_trap();
  }
}

// --- Memory `scratch`

#define SCRATCH_OFFSETS(X) X(0) X(16) X(32) X(48) X(64) X(80) X(96) X(112)
#define SCRATCH_LOAD(offset)                                                                                            \
  GUEST_IMPORT("memory:scratch", "v128.load@" #offset) f32x4 scratch_v128_load_##offset(uint64_t address);
#define SCRATCH_STORE(offset)                                                                                           \
  GUEST_IMPORT("memory:scratch", "v128.store@" #offset) void scratch_v128_store_##offset(uint64_t address, f32x4 value);
SCRATCH_OFFSETS(SCRATCH_LOAD)
SCRATCH_OFFSETS(SCRATCH_STORE)
GUEST_IMPORT("memory:scratch", "f32.load") float scratch_f32_load(uint64_t address);
GUEST_IMPORT("memory:scratch", "f32.store") void scratch_f32_store(uint64_t address, float value);
GUEST_IMPORT("memory:scratch", "i32.load") int32_t scratch_i32_load(uint64_t address);
GUEST_IMPORT("memory:scratch", "i32.store") void scratch_i32_store(uint64_t address, int32_t value);
GUEST_IMPORT("memory:scratch", "i64.load") int64_t scratch_i64_load(uint64_t address);
GUEST_IMPORT("memory:scratch", "i64.store") void scratch_i64_store(uint64_t address, int64_t value);
GUEST_IMPORT("memory:scratch", "v128.load32_zero") f32x4 scratch_v128_load32_zero(uint64_t address);
GUEST_IMPORT("memory:scratch", "memory.size") uint64_t scratch_memory_size(void);
GUEST_IMPORT("memory:scratch", "memory.grow") uint64_t scratch_memory_grow(uint64_t page_count);

#define GUEST_CASE_SCRATCH_LOAD(offset) case offset: return scratch_v128_load_##offset(address);
GUEST_INLINE f32x4 scratch_load(uint64_t address, int offset) {
  switch (offset) { SCRATCH_OFFSETS(GUEST_CASE_SCRATCH_LOAD) default: __builtin_trap(); }
}
#define GUEST_CASE_SCRATCH_STORE(offset) case offset: scratch_v128_store_##offset(address, value); return;
GUEST_INLINE void scratch_store(uint64_t address, int offset, f32x4 value) {
  switch (offset) { SCRATCH_OFFSETS(GUEST_CASE_SCRATCH_STORE) default: __builtin_trap(); }
}

// --- Memory `cache`

GUEST_IMPORT("memory:cache", "v128.load@0") i8x16 cache_v128_load_0(uint64_t address);
GUEST_IMPORT("memory:cache", "v128.load@16") i8x16 cache_v128_load_16(uint64_t address);
GUEST_IMPORT("memory:cache", "v128.store@0") void cache_v128_store_0(uint64_t address, i8x16 value);
GUEST_IMPORT("memory:cache", "f32.load") float cache_f32_load(uint64_t address);
GUEST_IMPORT("memory:cache", "f32.store") void cache_f32_store(uint64_t address, float value);
GUEST_IMPORT("memory:cache", "i32.load16_u") uint32_t cache_i32_load16_u(uint64_t address);
GUEST_IMPORT("memory:cache", "i32.store16") void cache_i32_store16(uint64_t address, uint32_t value);
GUEST_IMPORT("memory:cache", "memory.size") uint64_t cache_memory_size(void);
GUEST_IMPORT("memory:cache", "memory.grow") uint64_t cache_memory_grow(uint64_t page_count);
/// Maps zeroed pages; the result is the address, or all ones where the host refuses.
GUEST_IMPORT("memory:cache", "memory.map_readwrite") uint64_t cache_memory_map(uint64_t address, uint64_t byte_count);
GUEST_IMPORT("memory:cache", "memory.unmap") void cache_memory_unmap(uint64_t address, uint64_t byte_count);

#endif
