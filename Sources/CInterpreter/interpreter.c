// Entry and exit of the dispatch core, and the cold ends of its handlers.
#define _GNU_SOURCE  // nanosleep
#include "handlers.h"

#include <time.h>

// Guest code is left for something that may take time, or change pages, and gone back to. See bindery_context_leave.
#define OUTSIDE(cx, statement)                                                                                            \
  do {                                                                                                                    \
    if (unlikely((cx)->shares_memory)) bindery_context_leave(cx);                                                         \
    statement;                                                                                                            \
    if (unlikely((cx)->shares_memory)) bindery_context_enter(cx);                                                         \
  } while (0)

extern const bindery_handler_set bindery_portable_set;
#if defined(__x86_64__)
extern const bindery_handler_set bindery_avx2_set;
#endif

const bindery_handler_set *bindery_handler_set_get(bool portable) {
#if defined(__x86_64__)
  if (!portable && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")
      && __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt"))
    return &bindery_avx2_set;
#else
  (void)portable;
#endif
  return &bindery_portable_set;
}

// The frame the run began with returned: its caller_slots say nothing, the results lie where the arguments were.
static HANDLER(bindery_exit) {
  ENTER
  cx->trap = BINDERY_TRAP_NONE;
  return BINDERY_TRAP_NONE;
}

// A function of another instance returned: the marker below its frame knows where to go on, and in which instance.
static HANDLER(bindery_cross_return) {
  ENTER
  pc = fr->return_pc;
  fp = fr->caller_slots;
  inst = fr->instance;
  fr -= 1;
  GO(0)
}

int64_t bindery_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bindery_context_prepare(bindery_context *context, const bindery_handler_set *set) {
  (void)set;
  context->exit_code[0] = (uint64_t)(uintptr_t)bindery_exit;
  context->cross_return_code[0] = (uint64_t)(uintptr_t)bindery_cross_return;
}

// 0 if the stacks have room for `byte_count` bytes from `slots` on and for a frame behind `frame`, or get it; else the trap.
static int32_t make_room(bindery_context *cx, const uint8_t *slots, size_t byte_count, const bindery_frame *frame) {
  if (byte_count <= (size_t)(cx->slots_end - slots) && frame + 2 < cx->frames_end) return 0;
  cx->wanted_slots_end = (uintptr_t)slots + byte_count;
  cx->wanted_frames_end = (uintptr_t)(frame + 3);
  return cx->stack_call(cx);
}

int32_t bindery_run(bindery_context *context, const bindery_function *function, uint8_t *slots, bindery_frame *frame) {
  if (function->code == NULL) return function->host(context, function, (bindery_slot *)(void *)slots);
  int32_t trap = make_room(context, slots, (size_t)function->code->slot_count * 16, frame);
  if (trap != 0) {
    context->trap_pc = NULL;
    context->trap_frame = frame;
    return context->trap = trap;
  }
  frame += 1;
  *frame = (bindery_frame){context->exit_code, slots, function->code, function->instance};
  const uint64_t *pc = function->code->entry;
  if (unlikely(context->shares_memory)) bindery_context_enter(context);
#if BINDERY_TRAMPOLINE
  bindery_machine machine = {pc, slots, function->instance, frame, context, 0, (v128){0, 0}};
  int32_t result;
  do {
    result = ((bindery_handler *)(uintptr_t)*machine.pc)(&machine);
  } while (result < 0);
#else
  int32_t result =
      ((bindery_handler *)(uintptr_t)*pc)(pc, slots, function->instance, frame, context, 0, (v128){0, 0});
#endif
  if (unlikely(context->shares_memory)) bindery_context_leave(context);
  return result;
}

void bindery_context_await_safepoint(bindery_context *context) {
  // The changes that came before are visible to a thread that comes inside from here on.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint32_t seen = __atomic_load_n(&context->activity, __ATOMIC_ACQUIRE);
  if ((seen & 1) == 0) return;
  bindery_context_interrupt(context, BINDERY_INTERRUPT_SAFEPOINT);
  for (unsigned round = 0; __atomic_load_n(&context->activity, __ATOMIC_ACQUIRE) == seen; round++) {
    if (round < 1000) continue;
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
  }
}

HANDLER(bindery_cold_trap) {
  ENTER
  cx->trap_pc = pc;
  cx->trap_frame = fr;
  return cx->trap;
}

#define STOP(code) do { cx->trap = (code); COLD(bindery_cold_trap); } while (0)

// The access missed its window: the memory moves it, and the instruction runs again, or it was refused.
HANDLER(bindery_cold_miss) {
  ENTER
  bindery_memory_view *view = (bindery_memory_view *)(void *)((uint8_t *)inst + (size_t)cx->missed_view_field * 8);
  int32_t fault;
  OUTSIDE(cx, fault = view->slow_path(view, cx->missed_address, cx->missed_byte_count, cx->missed_is_write));
  if (fault != 0) STOP(fault);
  GO(0)
}

// Something asked the run to stop, or to look: the context's owner decides. The instruction runs again.
HANDLER(bindery_cold_interrupt) {
  ENTER
  // What is cleared here is seen to once; the other bits stay until their owners take them back.
  uint32_t once = bindery_context_interrupt_bits(cx) & (BINDERY_INTERRUPT_SAFEPOINT | BINDERY_INTERRUPT_LOST);
  if (once != 0) bindery_context_clear_interrupt(cx, once);
  int32_t trap = 0;
  OUTSIDE(cx, if (((once & BINDERY_INTERRUPT_LOST) | bindery_context_interrupt_bits(cx)) != 0) trap = cx->interrupt_call(cx));
  if (trap != 0) STOP(trap);
  GO(0)
}

// A frame does not fit. The instruction runs again, on larger stacks.
HANDLER(bindery_cold_stack) {
  ENTER
  int32_t trap;
  OUTSIDE(cx, trap = cx->stack_call(cx));
  if (trap != 0) STOP(trap);
  GO(0)
}

// Checks a range for a bulk operation. `*moved`: the memory had to be asked, so that what was checked before it may have
// changed meanwhile.
static int32_t check_range(
    bindery_context *cx, bindery_memory_view *view, uint64_t address, uint64_t byte_count, int32_t is_write, bool *moved) {
  uint64_t start = is_write ? view->write_start : view->read_start;
  uint64_t length = __atomic_load_n(is_write ? &view->write_limit[0] : &view->read_limit[0], __ATOMIC_RELAXED);
  uint64_t distance = address - start;
  if (byte_count != 0 && distance < length && byte_count <= length - distance) return 0;
  int32_t fault;
  OUTSIDE(cx, fault = view->slow_path(view, address, byte_count, is_write));
  *moved = byte_count != 0;
  return fault;
}

// Bytes of guests, set and moved. The thread sanitizer is not to judge guests: see handlers.h.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BINDERY_THREAD_SANITIZER 1
#endif
#endif
__attribute__((no_sanitize("thread"))) static void fill_bytes(uint8_t *to, uint8_t value, uint64_t count) {
#if BINDERY_THREAD_SANITIZER
  for (volatile uint8_t *byte = to; count != 0; count--) *byte++ = value;
#else
  __builtin_memset(to, value, count);
#endif
}
__attribute__((no_sanitize("thread"))) static void move_bytes(uint8_t *to, const uint8_t *from, uint64_t count) {
#if BINDERY_THREAD_SANITIZER
  volatile uint8_t *target = to;
  const volatile uint8_t *source = from;
  if (to < from) {
    for (uint64_t i = 0; i < count; i++) target[i] = source[i];
  } else {
    for (uint64_t i = count; i != 0; i--) target[i - 1] = source[i - 1];
  }
#else
  __builtin_memmove(to, from, count);
#endif
}

// Between two pieces of bulk work: whether the run is to stop. Outside guest code, so that who waits for a safepoint gets one.
static int32_t pause_bulk(bindery_context *cx) {
  int32_t trap;
  OUTSIDE(cx, trap = cx->interrupt_call(cx));
  return trap;
}

HANDLER(bindery_cold_fill) {
  ENTER
  bindery_memory_view *view = VIEW(1);
  const bindery_slot *operands = (const bindery_slot *)(void *)SLOT(0);
  uint64_t address = operands[0].i64, byte_count = operands[2].i64;
  uint8_t value = (uint8_t)operands[1].i32;
  bool is_paid = false;
  while (true) {
    // What is left is checked again after a pause: another thread may have changed pages of a shared memory.
    int32_t fault;
    bool moved;
    do {
      moved = false;
      fault = check_range(cx, view, address, byte_count, 1, &moved);
    } while (fault == 0 && moved);
    if (unlikely(fault != 0)) STOP(fault);
    if (!is_paid && unlikely(!bindery_context_take_fuel(cx, byte_count, BINDERY_FUEL_BULK_BYTES))) TRAP(FUEL_EXHAUSTED);
    is_paid = true;
    uint64_t piece = byte_count < BINDERY_BULK_BYTES ? byte_count : BINDERY_BULK_BYTES;
    fill_bytes(view->base + address, value, piece);
    address += piece;
    byte_count -= piece;
    if (byte_count == 0) break;
    int32_t trap = pause_bulk(cx);
    if (trap != 0) STOP(trap);
  }
  GO(2)
}

HANDLER(bindery_cold_copy) {
  ENTER
  bindery_memory_view *to = VIEW(1), *from = VIEW(2);
  const bindery_slot *operands = (const bindery_slot *)(void *)SLOT(0);
  uint64_t destination = operands[0].i64, source = operands[1].i64, byte_count = operands[2].i64;
  // Both bounds before any page state; then the destination's states before the source's.
  uint64_t to_count = __atomic_load_n(&to->byte_count, __ATOMIC_RELAXED);
  uint64_t from_count = __atomic_load_n(&from->byte_count, __ATOMIC_RELAXED);
  bool out_of_bounds = byte_count > to_count || destination > to_count - byte_count || byte_count > from_count
    || source > from_count - byte_count;
  if (unlikely(out_of_bounds)) TRAP(OUT_OF_BOUNDS_MEMORY);
  // From the end where a piece from the start would overwrite what is still to be copied.
  bool is_backward = to->base + destination > from->base + source && to->base + destination - (from->base + source) < (ptrdiff_t)byte_count;
  bool is_paid = false;
  while (true) {
    int32_t fault;
    bool moved;
    do {
      moved = false;
      fault = check_range(cx, to, destination, byte_count, 1, &moved);
      if (fault == 0) fault = check_range(cx, from, source, byte_count, 0, &moved);
    } while (fault == 0 && moved);
    if (unlikely(fault != 0)) STOP(fault);
    if (!is_paid && unlikely(!bindery_context_take_fuel(cx, byte_count, BINDERY_FUEL_BULK_BYTES))) TRAP(FUEL_EXHAUSTED);
    is_paid = true;
    uint64_t piece = byte_count < BINDERY_BULK_BYTES ? byte_count : BINDERY_BULK_BYTES;
    uint64_t rest = byte_count - piece, first = is_backward ? rest : 0;
    move_bytes(to->base + destination + first, from->base + source + first, piece);
    byte_count = rest;
    if (byte_count == 0) break;
    if (!is_backward) destination += piece, source += piece;
    int32_t trap = pause_bulk(cx);
    if (trap != 0) STOP(trap);
  }
  GO(2)
}

// Runs a host function on `slots`. It sets its results behind its arguments; nested runs begin above both.
static int32_t call_host(
    const bindery_function *function, uint8_t *slots, bindery_instance *inst, bindery_frame *fr, bindery_context *cx) {
  uint32_t count = function->parameter_count + function->result_count;
  int32_t trap = make_room(cx, slots, (size_t)count * 16, fr);
  if (unlikely(trap != 0)) return trap;
  uint8_t *slots_top = cx->slots_top;
  bindery_frame *frame_top = cx->frame_top;
  bindery_instance *caller = cx->caller_instance;
  cx->slots_top = slots + (size_t)count * 16;
  cx->frame_top = fr;
  cx->caller_instance = inst;
  OUTSIDE(cx, trap = function->host(cx, function, (bindery_slot *)(void *)slots));
  cx->slots_top = slots_top;
  cx->frame_top = frame_top;
  cx->caller_instance = caller;
  if (unlikely(trap == 0 && __atomic_load_n(cx->lost_page_count, __ATOMIC_RELAXED) != cx->lost_page_count_seen))
    OUTSIDE(cx, trap = cx->interrupt_call(cx));
  return trap;
}

// acc holds the function.
HANDLER(bindery_cold_host_call) {
  ENTER
  const bindery_function *function = (const bindery_function *)(uintptr_t)acc;
  int32_t trap = call_host(function, SLOT(0), inst, fr, cx);
  if (unlikely(trap != 0)) STOP(trap);
  GO(3)
}

HANDLER(bindery_cold_host_tail_call) {
  ENTER
  const bindery_function *function = (const bindery_function *)(uintptr_t)acc;
  __builtin_memmove(fp, SLOT(0), (size_t)FIELD(1) * 16);
  int32_t trap = call_host(function, fp, inst, fr, cx);
  if (unlikely(trap != 0)) STOP(trap);
  RETURN;
}

HANDLER(bindery_cold_runtime) {
  ENTER
  bindery_slot *operands = (bindery_slot *)(void *)SLOT(0);
  int32_t trap;
  OUTSIDE(cx, trap = cx->runtime_call(cx, inst, FIELD(1), (uint32_t)pc[2], (uint32_t)(pc[2] >> 32), operands));
  if (unlikely(trap != 0)) STOP(trap);
  GO(3)
}

// wait and notify: the address is made here, and tested in Swift. words[1] of the first operand: whether it carried.
HANDLER(bindery_cold_wait) {
  ENTER
  bindery_slot *operands = (bindery_slot *)(void *)SLOT(0);
  operands[0].words[1] = __builtin_add_overflow(operands[0].words[0], pc[2], &operands[0].words[0]);
  uint32_t memory = (uint32_t)(((size_t)FIELD(2) * 8 - sizeof(bindery_instance)) / sizeof(bindery_memory_view));
  int32_t trap;
  OUTSIDE(cx, trap = cx->runtime_call(cx, inst, FIELD(1), memory, 0, operands));
  if (unlikely(trap != 0)) STOP(trap);
  GO(3)
}
