// What a handler is made of. Included by each set of handlers after it has defined NAME(name) and, for the set that needs
// them, BINDERY_AVX2.
//
// A handler receives the whole state of the machine in registers (calling convention preserve_none passes twelve integers)
// and ends by jumping to the next handler: `musttail` makes that a promise, in unoptimised builds too. Where the compiler
// lacks either, a handler returns to a loop instead (BINDERY_TRAMPOLINE); the same source serves both.
#pragma once
#include "interpreter.h"
#include <stdbool.h>

#pragma STDC FP_CONTRACT OFF

#if !defined(BINDERY_TRAMPOLINE)
#if !(__has_attribute(musttail) && __has_attribute(preserve_none) && (defined(__x86_64__) || defined(__aarch64__)))
#define BINDERY_TRAMPOLINE 1
#endif
#endif

#define unlikely(condition) __builtin_expect(!!(condition), 0)

typedef uint32_t i32;
typedef uint64_t i64;
typedef float f32;
typedef double f64;
typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef int64_t i64x2 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef u64x2 v128;
typedef int8_t i8x8 __attribute__((vector_size(8)));
typedef uint8_t u8x8 __attribute__((vector_size(8)));
typedef int16_t i16x4 __attribute__((vector_size(8)));
typedef uint16_t u16x4 __attribute__((vector_size(8)));
typedef int32_t i32x2 __attribute__((vector_size(8)));
typedef uint32_t u32x2 __attribute__((vector_size(8)));

typedef uint32_t i32_alias __attribute__((may_alias));
typedef uint64_t i64_alias __attribute__((may_alias));
typedef float f32_alias __attribute__((may_alias));
typedef double f64_alias __attribute__((may_alias));
typedef u64x2 v128_alias __attribute__((may_alias));

#define PARAMETERS                                                                                                        \
  const uint64_t *pc, uint8_t *fp, bindery_instance *inst, bindery_frame *fr, bindery_context *cx, uint64_t acc, v128 vacc
#define ARGUMENTS pc, fp, inst, fr, cx, acc, vacc

#if BINDERY_TRAMPOLINE
typedef struct bindery_machine {
  const uint64_t *pc;
  uint8_t *fp;
  bindery_instance *inst;
  bindery_frame *fr;
  bindery_context *cx;
  uint64_t acc;
  v128 vacc;
} bindery_machine;
typedef int32_t bindery_handler(bindery_machine *machine);
#define HANDLER(name) int32_t name(bindery_machine *machine)
#define ENTER                                                                                                             \
  const uint64_t *pc = machine->pc; uint8_t *fp = machine->fp; bindery_instance *inst = machine->inst;                    \
  bindery_frame *fr = machine->fr; bindery_context *cx = machine->cx; uint64_t acc = machine->acc;                        \
  v128 vacc = machine->vacc; (void)pc; (void)fp; (void)inst; (void)fr; (void)cx; (void)acc; (void)vacc;
#define LEAVE (*machine = (bindery_machine){pc, fp, inst, fr, cx, acc, vacc})
#define GO(words) do { pc += (words); LEAVE; return -1; } while (0);
#define COLD(function) do { LEAVE; return function(machine); } while (0)
#else
#define HANDLER_CONVENTION __attribute__((preserve_none))
typedef HANDLER_CONVENTION int32_t bindery_handler(PARAMETERS);
#define HANDLER(name) HANDLER_CONVENTION int32_t name(PARAMETERS)
#define ENTER
#define GO(words)                                                                                                         \
  do { pc += (words); __attribute__((musttail)) return ((bindery_handler *)(uintptr_t)*pc)(ARGUMENTS); } while (0);
#define COLD(function) do { __attribute__((musttail)) return function(ARGUMENTS); } while (0)
#endif
// Without debug information: for thousands of small functions it takes most of the time of an optimised build, and a handler
// has no story to tell a debugger (`CompiledModule.listing` shows register code).
//
// Without the thread sanitizer's checks of plain accesses: two guests that race on a shared memory with plain loads and stores
// do what WebAssembly allows them, and the limits of a view, which another thread may lower, are read by one aligned load whose
// value is used once (an atomic load would be the same instruction, but never the operand of the compare). Atomic accesses
// stay instrumented in such functions, so the sanitizer sees the order that guests make with them.
#define H(name) __attribute__((nodebug, no_sanitize("thread"))) static HANDLER(NAME(name))
#define INLINE static inline __attribute__((nodebug, no_sanitize("thread")))

// Cold ends of handlers, shared by all sets (interpreter.c).
HANDLER(bindery_cold_trap);
HANDLER(bindery_cold_miss);
HANDLER(bindery_cold_interrupt);
HANDLER(bindery_cold_stack);
HANDLER(bindery_cold_fill);
HANDLER(bindery_cold_copy);
HANDLER(bindery_cold_host_call);
HANDLER(bindery_cold_host_tail_call);
HANDLER(bindery_cold_runtime);
HANDLER(bindery_cold_wait);

// Unless the stacks have room for that many slots from `slots` on, and for frames up to and with `frame`, they are to get it, and
// the instruction runs again.
#define ROOM(slots, slot_count, frame)                                                                                    \
  do {                                                                                                                    \
    if (unlikely((size_t)(slot_count) * 16 > (size_t)(cx->slots_end - (slots)) || (frame) + 1 >= cx->frames_end)) {       \
      cx->wanted_slots_end = (uintptr_t)(slots) + (size_t)(slot_count) * 16;                                              \
      cx->wanted_frames_end = (uintptr_t)((frame) + 2);                                                                   \
      COLD(bindery_cold_stack);                                                                                           \
    }                                                                                                                     \
  } while (0)

#define TRAP(name) do { cx->trap = BINDERY_TRAP_##name; COLD(bindery_cold_trap); } while (0)

// Fields and immediates of the instruction at pc.
typedef uint16_t field_alias __attribute__((may_alias));
typedef uint32_t half_alias __attribute__((may_alias));
#define FIELD(i) (((const field_alias *)pc)[4 + (i)])
#define INDEX (((const half_alias *)pc)[3])
#define DISTANCE ((int32_t)INDEX)
#define SLOT(i) (fp + (size_t)FIELD(i) * 8)
#define VIEW(i) ((bindery_memory_view *)(void *)((uint8_t *)inst + (size_t)FIELD(i) * 8))
#define UPPER(i) (((const half_alias *)(pc + (i)))[1])
#define LOWER(i) (((const half_alias *)(pc + (i)))[0])

// An index that has passed a test against `count`: 0 where the processor went on, speculating, although it has not. By arithmetic
// that the compiler cannot see through, without a branch.
INLINE uint64_t clamped(uint64_t index, uint64_t count) {
#if defined(__x86_64__)
  uint64_t mask;
  __asm__("cmpq %2, %1\n\tsbbq %0, %0" : "=r"(mask) : "r"(index), "r"(count) : "cc");
  return index & mask;
#elif defined(__aarch64__)
  uint64_t result;
  __asm__("cmp %1, %2\n\tcsel %0, %1, xzr, lo\n\tcsdb" : "=r"(result) : "r"(index), "r"(count) : "cc");
  return result;
#else
  uint64_t mask = (uint64_t)0 - (uint64_t)(index < count);
  return index & mask;
#endif
}

// Operands in slots, accumulators, immediates.
#define S_i32(i) (*(const i32_alias *)SLOT(i))
#define S_i64(i) (*(const i64_alias *)SLOT(i))
#define S_f32(i) (*(const f32_alias *)SLOT(i))
#define S_f64(i) (*(const f64_alias *)SLOT(i))
#define S_v128(i) (*(const v128_alias *)SLOT(i))
#define S_i8x16(i) ((i8x16)S_v128(i))
#define S_u8x16(i) ((u8x16)S_v128(i))
#define S_i16x8(i) ((i16x8)S_v128(i))
#define S_u16x8(i) ((u16x8)S_v128(i))
#define S_i32x4(i) ((i32x4)S_v128(i))
#define S_u32x4(i) ((u32x4)S_v128(i))
#define S_i64x2(i) ((i64x2)S_v128(i))
#define S_u64x2(i) ((u64x2)S_v128(i))
#define S_f32x4(i) ((f32x4)S_v128(i))
#define S_f64x2(i) ((f64x2)S_v128(i))
#define A_i32 ((i32)acc)
#define A_i64 acc
#define A_f32 (((f32x4)vacc)[0])
#define A_f64 (((f64x2)vacc)[0])
#define A_v128 vacc
#define A_i8x16 ((i8x16)vacc)
#define A_u8x16 ((u8x16)vacc)
#define A_i16x8 ((i16x8)vacc)
#define A_u16x8 ((u16x8)vacc)
#define A_i32x4 ((i32x4)vacc)
#define A_u32x4 ((u32x4)vacc)
#define A_i64x2 ((i64x2)vacc)
#define A_u64x2 ((u64x2)vacc)
#define A_f32x4 ((f32x4)vacc)
#define A_f64x2 ((f64x2)vacc)
#define I_i32 INDEX
#define I_i64 ((i64)(int64_t)DISTANCE)
#define W_i32 ((i32)pc[2])
#define W_i64 (pc[2])

// Operands named by a word of their own, and by the upper half of a word.
#define SLOT_OF_WORD(i) (fp + (size_t)(uint16_t)pc[i] * 8)
#define SLOT_OF_HALF(i) (fp + (size_t)(uint16_t)(pc[i] >> 32) * 8)
#define E_f32x4(i) ((f32x4)*(const v128_alias *)SLOT_OF_WORD(i))
#define E_f64x2(i) ((f64x2)*(const v128_alias *)SLOT_OF_WORD(i))
#define E_u32x4(i) ((u32x4)*(const v128_alias *)SLOT_OF_WORD(i))
#define V_AT(word, field) (*(const v128_alias *)(fp + (size_t)((const field_alias *)(pc + (word)))[field] * 8))
#define H_i32(i) (*(const i32_alias *)SLOT_OF_HALF(i))
#define H_i64(i) (*(const i64_alias *)SLOT_OF_HALF(i))

// Results: Ps_ to slot 0 and the accumulator, Pa_ to the accumulator.
#define Pa_i32(value) acc = (value)
#define Pa_i64(value) acc = (value)
#define Pa_f32(value) vacc = (v128)(f32x4){(value), 0, 0, 0}
#define Pa_f64(value) vacc = (v128)(f64x2){(value), 0}
#define Pa_v128(value) vacc = (value)
#define Ps_i32(value) acc = (value); *(i64_alias *)SLOT(0) = acc
#define Ps_i64(value) acc = (value); *(i64_alias *)SLOT(0) = acc
#define Ps_f32(value) Pa_f32(value); *(f32_alias *)SLOT(0) = (value)
#define Ps_f64(value) Pa_f64(value); *(f64_alias *)SLOT(0) = (value)
#define Ps_v128(value) vacc = (value); *(v128_alias *)SLOT(0) = vacc

// Branches.
#define JUMP do { pc = (const uint64_t *)(const void *)((const uint8_t *)pc + DISTANCE); GO(0) } while (0)
#define POLL do { if (unlikely(__atomic_load_n(&cx->interrupt, __ATOMIC_RELAXED) != 0)) COLD(bindery_cold_interrupt); } while (0)
#define BRANCH(taken, words) if (taken) { JUMP; } GO(words)
#define BRANCH_BACK(taken, words) if (taken) { POLL; JUMP; } GO(words)
#define RETURN do { pc = fr->return_pc; fp = fr->caller_slots; fr -= 1; GO(0) } while (0)

// Memory. The effective address is added once; a carry out of 64 bits is out of bounds. See memory_view.h.
#define MISS(field, address, log2, write)                                                                                 \
  do {                                                                                                                    \
    cx->missed_view_field = (uint32_t)(field); cx->missed_address = (address); cx->missed_byte_count = 1u << (log2);      \
    cx->missed_is_write = (write); COLD(bindery_cold_miss);                                                               \
  } while (0)
#define EFFECTIVE_i32(operand, offset) uint64_t address = (uint64_t)(operand) + (offset)
#define EFFECTIVE_i64(operand, offset)                                                                                    \
  uint64_t address; if (unlikely(__builtin_add_overflow((operand), (uint64_t)(offset), &address))) TRAP(OUT_OF_BOUNDS_MEMORY)
#define VIEW_AT(field) ((bindery_memory_view *)(void *)((uint8_t *)inst + (field) * 8))
#define READ(log2)                                                                                                        \
  size_t field = FIELD(2);                                                                                                \
  if (unlikely(address - VIEW_AT(field)->read_start >= VIEW_AT(field)->read_limit[log2])) MISS(field, address, log2, 0);  \
  const uint8_t *p = VIEW_AT(field)->base + address
#define WRITE(log2)                                                                                                       \
  size_t field = FIELD(2);                                                                                                \
  if (unlikely(address - VIEW_AT(field)->write_start >= VIEW_AT(field)->write_limit[log2])) MISS(field, address, log2, 1); \
  uint8_t *p = VIEW_AT(field)->base + address
// An atomic access: alignment, then bounds, then page states. A 32-bit address is zero-extended, so its sum cannot carry.
#define ATOMIC_ADDRESS(log2, write)                                                                                       \
  uint64_t address;                                                                                                       \
  bool carries = __builtin_add_overflow(S_i64(1), pc[2], &address);                                                       \
  if (unlikely((address & ((1u << (log2)) - 1)) != 0)) TRAP(UNALIGNED_ATOMIC);                                             \
  if (unlikely(carries)) TRAP(OUT_OF_BOUNDS_MEMORY);                                                                      \
  size_t field = FIELD(2);                                                                                                \
  uint64_t start_ = (write) ? VIEW_AT(field)->write_start : VIEW_AT(field)->read_start;                                   \
  uint64_t limit_ = (write) ? VIEW_AT(field)->write_limit[log2] : VIEW_AT(field)->read_limit[log2];                       \
  if (unlikely(address - start_ >= limit_)) MISS(field, address, log2, write);                                            \
  uint8_t *p = VIEW_AT(field)->base + address
// One of two accesses at a slot plus an immediate: half `half` of word 2 names the slot, half `2 + half` of words 3 is the
// immediate.
#define READ_AT(pointer, type, half, view_field, log2)                                                                    \
  do {                                                                                                                    \
    uint64_t address = (type)(*(const type##_alias *)(fp + (size_t)((const field_alias *)(pc + 2))[half] * 8)             \
                              + (type)((const int32_t *)(pc + 3))[half]);                                                 \
    size_t field = FIELD(view_field);                                                                                     \
    if (unlikely(address - VIEW_AT(field)->read_start >= VIEW_AT(field)->read_limit[log2])) MISS(field, address, log2, 0); \
    pointer = VIEW_AT(field)->base + address;                                                                             \
  } while (0)
