// Handlers written by hand: control flow, calls, bulk operations. Names and lengths are in RegisterControl.swift.

H(unreachable) { ENTER TRAP(UNREACHABLE); }

H(jump) { ENTER JUMP; }

H(jump_back) { ENTER POLL; JUMP; }

H(jump_table) {
  ENTER
  POLL;
  uint64_t index = S_i32(0), last = pc[2];
  index = index < last ? index : last;
  // The compiler may make a branch of that.
  index = clamped(index, last + 1);
  pc = (const uint64_t *)(const void *)((const uint8_t *)pc + (int64_t)pc[3 + index]);
  GO(0)
}

H(enter) {
  ENTER
  v128_alias *zero = (v128_alias *)(void *)SLOT(0);
  for (size_t count = FIELD(1); count != 0; count--) *zero++ = (v128){0, 0};
  const v128_alias *source = (const v128_alias *)(uintptr_t)pc[2];
  v128_alias *constant = (v128_alias *)(void *)SLOT(2);
  for (size_t count = FIELD(3); count != 0; count--) *constant++ = *source++;
  GO(3)
}

H(return_void) { ENTER RETURN; }

H(return_many) {
  ENTER
  const v128_alias *source = (const v128_alias *)(void *)SLOT(0);
  v128_alias *result = (v128_alias *)(void *)fp;
  for (size_t count = FIELD(1); count != 0; count--) *result++ = *source++;
  RETURN;
}

H(copy_many) {
  ENTER
  __builtin_memmove(SLOT(0), SLOT(1), (size_t)FIELD(2) * 16);
  GO(2)
}

// Starts `code` in a new frame above the current one.
#define CALL(callee, slots, return_to)                                                                                    \
  do {                                                                                                                    \
    const bindery_code *code_ = (callee);                                                                                 \
    uint8_t *slots_ = (slots);                                                                                            \
    ROOM(slots_, code_->slot_count, fr + 1);                                                                              \
    POLL;                                                                                                                 \
    fr += 1;                                                                                                              \
    *fr = (bindery_frame){(return_to), fp, code_, inst};                                                                  \
    fp = slots_;                                                                                                          \
    pc = code_->entry;                                                                                                    \
    GO(0)                                                                                                                 \
  } while (0)

// Calls any function; `fp` of the callee is `slots`. A call into another instance leaves a marker frame below the callee's.
#define CALL_FUNCTION(callee, slots)                                                                                      \
  do {                                                                                                                    \
    const bindery_function *function_ = (callee);                                                                         \
    if (function_->instance == inst) CALL(function_->code, slots, pc + 3);                                                \
    acc = (uint64_t)(uintptr_t)function_;                                                                                 \
    if (function_->code == NULL) COLD(bindery_cold_host_call);                                                            \
    uint8_t *base_ = (slots);                                                                                             \
    ROOM(base_, function_->code->slot_count, fr + 2);                                                                     \
    POLL;                                                                                                                 \
    fr += 2;                                                                                                              \
    fr[-1] = (bindery_frame){pc + 3, fp, NULL, inst};                                                                     \
    fr[0] = (bindery_frame){cx->cross_return_code, base_, function_->code, function_->instance};                          \
    fp = base_;                                                                                                           \
    inst = function_->instance;                                                                                           \
    pc = function_->code->entry;                                                                                          \
    GO(0)                                                                                                                 \
  } while (0)

H(call) { ENTER CALL((const bindery_code *)(uintptr_t)pc[2], SLOT(0), pc + 3); }

H(call_import) { ENTER CALL_FUNCTION(inst->functions[pc[2]], SLOT(0)); }

// The function a table holds, if it has the type the instruction expects.
#define RESOLVE(entry)                                                                                                    \
  const bindery_table *table = inst->tables[(uint32_t)pc[2]];                                                             \
  uint64_t entry_ = (entry);                                                                                              \
  if (unlikely(entry_ >= table->count)) TRAP(UNDEFINED_ELEMENT);                                                          \
  entry_ = clamped(entry_, table->count);                                                                                 \
  const bindery_function *function = (const bindery_function *)(uintptr_t)table->elements[entry_];                        \
  if (unlikely(function == NULL)) TRAP(UNINITIALIZED_ELEMENT);                                                            \
  if (unlikely(function->type_id != (uint32_t)(pc[2] >> 32))) TRAP(INDIRECT_CALL_TYPE)

H(call_indirect) {
  ENTER
  RESOLVE(S_i64(1));
  CALL_FUNCTION(function, SLOT(0));
}

// Replaces the frame: the arguments move to its start. A frame whose caller is another instance keeps its marker; one that
// leaves its instance for the first time gets one.
#define TAIL_CALL(callee, callee_instance)                                                                                \
  do {                                                                                                                    \
    const bindery_code *code_ = (callee);                                                                                 \
    bindery_instance *instance_ = (callee_instance);                                                                      \
    ROOM(fp, code_->slot_count, fr + 1);                                                                                  \
    POLL;                                                                                                                 \
    const v128_alias *source_ = (const v128_alias *)(void *)SLOT(0);                                                      \
    v128_alias *argument_ = (v128_alias *)(void *)fp;                                                                     \
    for (size_t count_ = FIELD(1); count_ != 0; count_--) *argument_++ = *source_++;                                      \
    if (instance_ != inst && fr->return_pc != cx->cross_return_code) {                                                    \
      fr += 1;                                                                                                            \
      fr[-1] = (bindery_frame){fr[-1].return_pc, fr[-1].caller_slots, NULL, inst};                                        \
      fr[0].return_pc = cx->cross_return_code;                                                                            \
      fr[0].caller_slots = fp;                                                                                            \
    }                                                                                                                     \
    fr->code = code_;                                                                                                     \
    fr->instance = instance_;                                                                                             \
    inst = instance_;                                                                                                     \
    pc = code_->entry;                                                                                                    \
    GO(0)                                                                                                                 \
  } while (0)

// A tail call of a host function is a call followed by a return of its results: see bindery_cold_host_call.
#define TAIL_CALL_FUNCTION(callee)                                                                                        \
  do {                                                                                                                    \
    const bindery_function *function_ = (callee);                                                                         \
    if (function_->code != NULL) TAIL_CALL(function_->code, function_->instance);                                         \
    acc = (uint64_t)(uintptr_t)function_;                                                                                 \
    COLD(bindery_cold_host_tail_call);                                                                                    \
  } while (0)

H(return_call) { ENTER TAIL_CALL((const bindery_code *)(uintptr_t)pc[2], inst); }

H(return_call_import) { ENTER TAIL_CALL_FUNCTION(inst->functions[pc[2]]); }

H(return_call_indirect) {
  ENTER
  RESOLVE(S_i64(2));
  TAIL_CALL_FUNCTION(function);
}

H(table_set) {
  ENTER
  const bindery_table *table = inst->tables[INDEX];
  uint64_t entry = S_i64(0);
  if (unlikely(entry >= table->count)) TRAP(OUT_OF_BOUNDS_TABLE);
  table->elements[clamped(entry, table->count)] = S_i64(1);
  GO(2)
}

// Straight code notices here, too, that it is to stop.
H(memory_copy) { ENTER POLL; COLD(bindery_cold_copy); }

H(memory_fill) { ENTER POLL; COLD(bindery_cold_fill); }

H(runtime) { ENTER POLL; COLD(bindery_cold_runtime); }

H(atomic_wait) { ENTER COLD(bindery_cold_wait); }

H(atomic_fence) {
  ENTER
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  GO(1)
}

H(fuel) {
  ENTER
  cx->fuel -= (int64_t)pc[1];
  if (unlikely(cx->fuel < 0)) {
    cx->fuel = 0;
    TRAP(FUEL_EXHAUSTED);
  }
  GO(2)
}
