// Entry and exit of the dispatch core, and the cold ends of its handlers.
#include "handlers.h"

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

void bindery_context_prepare(bindery_context *context, const bindery_handler_set *set) {
  (void)set;
  context->exit_code[0] = (uint64_t)(uintptr_t)bindery_exit;
  context->cross_return_code[0] = (uint64_t)(uintptr_t)bindery_cross_return;
}

int32_t bindery_run(bindery_context *context, const bindery_function *function, uint8_t *slots, bindery_frame *frame) {
  if (function->code == NULL) return function->host(context, function, (bindery_slot *)(void *)slots);
  if ((size_t)function->code->slot_count * 16 > (size_t)(context->slots_end - slots) || frame + 2 >= context->frames_end) {
    context->trap_pc = NULL;
    context->trap_frame = frame;
    return context->trap = BINDERY_TRAP_STACK_EXHAUSTED;
  }
  frame += 1;
  *frame = (bindery_frame){context->exit_code, slots, function->code, function->instance};
  const uint64_t *pc = function->code->entry;
#if BINDERY_TRAMPOLINE
  bindery_machine machine = {pc, slots, function->instance, frame, context, 0, (v128){0, 0}};
  for (;;) {
    int32_t result = ((bindery_handler *)(uintptr_t)*machine.pc)(&machine);
    if (result >= 0) return result;
  }
#else
  return ((bindery_handler *)(uintptr_t)*pc)(pc, slots, function->instance, frame, context, 0, (v128){0, 0});
#endif
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
  int32_t fault = view->slow_path(view, cx->missed_address, cx->missed_byte_count, cx->missed_is_write);
  if (fault != 0) STOP(fault);
  GO(0)
}

// Something asked the run to stop, or to look: the context's owner decides. The instruction runs again.
HANDLER(bindery_cold_interrupt) {
  ENTER
  int32_t trap = cx->interrupt_call(cx);
  if (trap != 0) STOP(trap);
  GO(0)
}

HANDLER(bindery_cold_fill) {
  ENTER
  bindery_memory_view *view = VIEW(1);
  const bindery_slot *operands = (const bindery_slot *)(void *)SLOT(0);
  uint64_t address = operands[0].i64, byte_count = operands[2].i64;
  int32_t fault = bindery_memory_check_range(view, address, byte_count, 1);
  if (unlikely(fault != 0)) STOP(fault);
  __builtin_memset(view->base + address, (int)(operands[1].i32 & 0xFF), byte_count);
  GO(2)
}

HANDLER(bindery_cold_copy) {
  ENTER
  bindery_memory_view *to = VIEW(1), *from = VIEW(2);
  const bindery_slot *operands = (const bindery_slot *)(void *)SLOT(0);
  uint64_t destination = operands[0].i64, source = operands[1].i64, byte_count = operands[2].i64;
  // Both bounds before any page state; then the destination's states before the source's.
  bool out_of_bounds = byte_count > to->byte_count || destination > to->byte_count - byte_count
    || byte_count > from->byte_count || source > from->byte_count - byte_count;
  if (unlikely(out_of_bounds)) TRAP(OUT_OF_BOUNDS_MEMORY);
  int32_t fault = bindery_memory_check_range(to, destination, byte_count, 1);
  if (fault == 0) fault = bindery_memory_check_range(from, source, byte_count, 0);
  if (unlikely(fault != 0)) STOP(fault);
  __builtin_memmove(to->base + destination, from->base + source, byte_count);
  GO(2)
}

// Runs a host function on `slots`. It sets its results behind its arguments; nested runs begin above both.
static int32_t call_host(
    const bindery_function *function, uint8_t *slots, bindery_instance *inst, bindery_frame *fr, bindery_context *cx) {
  uint32_t count = function->parameter_count + function->result_count;
  if (unlikely((size_t)count * 16 > (size_t)(cx->slots_end - slots) || fr + 2 >= cx->frames_end))
    return BINDERY_TRAP_STACK_EXHAUSTED;
  uint8_t *slots_top = cx->slots_top;
  bindery_frame *frame_top = cx->frame_top;
  bindery_instance *caller = cx->caller_instance;
  cx->slots_top = slots + (size_t)count * 16;
  cx->frame_top = fr;
  cx->caller_instance = inst;
  int32_t trap = function->host(cx, function, (bindery_slot *)(void *)slots);
  cx->slots_top = slots_top;
  cx->frame_top = frame_top;
  cx->caller_instance = caller;
  if (unlikely(trap == 0 && __atomic_load_n(cx->lost_page_count, __ATOMIC_RELAXED) != cx->lost_page_count_seen))
    trap = cx->interrupt_call(cx);
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
  int32_t trap = cx->runtime_call(cx, inst, FIELD(1), (uint32_t)pc[2], (uint32_t)(pc[2] >> 32), operands);
  if (unlikely(trap != 0)) STOP(trap);
  GO(3)
}
