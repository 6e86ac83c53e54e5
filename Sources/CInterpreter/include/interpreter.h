// The dispatch core: runs register code. See WasmRuntime.docc for the picture; this file is the layout shared with Swift.
//
// Register code is a sequence of 64-bit words. An instruction is the address of its handler (one word), a word of four 16-bit
// fields, and immediates. A field that names a slot holds twice the slot's index, so that one scaled load reaches it.
//
// A frame of slots (16 bytes each, one v128):   | parameters | locals | constants | operand stack |
// The arguments of a call are the top of the caller's operand stack, and become the first slots of the callee's frame; the
// results replace them. Linkage is kept apart, in bindery_frame records.
#pragma once
#include "memory_view.h"
#include <stddef.h>
#include <stdint.h>

/// Why a run ended. The Swift twin is `TrapKind`, which gives each its text; the order is part of the interface.
typedef enum bindery_trap {
  BINDERY_TRAP_NONE = 0,
  BINDERY_TRAP_OUT_OF_BOUNDS_MEMORY = 1,  // 1-4: those of bindery_memory_fault
  BINDERY_TRAP_UNMAPPED_MEMORY = 2,
  BINDERY_TRAP_PROTECTED_MEMORY = 3,
  BINDERY_TRAP_MAPPING_LOST = 4,
  BINDERY_TRAP_UNREACHABLE = 5,
  BINDERY_TRAP_DIVIDE_BY_ZERO = 6,
  BINDERY_TRAP_INTEGER_OVERFLOW = 7,
  BINDERY_TRAP_INVALID_CONVERSION = 8,
  BINDERY_TRAP_OUT_OF_BOUNDS_TABLE = 9,
  BINDERY_TRAP_UNDEFINED_ELEMENT = 10,
  BINDERY_TRAP_UNINITIALIZED_ELEMENT = 11,
  BINDERY_TRAP_INDIRECT_CALL_TYPE = 12,
  BINDERY_TRAP_STACK_EXHAUSTED = 13,
  BINDERY_TRAP_CANCELLED = 14,
  BINDERY_TRAP_DEADLINE = 15,
  BINDERY_TRAP_FUEL_EXHAUSTED = 16,
  BINDERY_TRAP_HOST = 17,  // a host function, or an operation of the runtime, left the trap with the context's owner
  BINDERY_TRAP_UNALIGNED_ATOMIC = 18,
} bindery_trap;

/// One register. Scalars lie at its start; an i32 is kept zero-extended to 64 bits, an f32 in the first four bytes.
typedef union bindery_slot {
  uint64_t words[2];
  uint32_t i32;
  uint64_t i64;
  float f32;
  double f64;
} __attribute__((aligned(16))) bindery_slot;

typedef struct bindery_context bindery_context;
typedef struct bindery_instance bindery_instance;
typedef struct bindery_function bindery_function;

/// A translated function body: belongs to a module, shared by its instances and by threads, never written after translation.
typedef struct bindery_code {
  const uint64_t *entry;
  /// Slots of the frame, operand stack included.
  uint32_t slot_count;
  /// Index of the function in its module.
  uint32_t function_index;
} bindery_code;

/// Calls the host. Arguments are in slots[0...]; results are written there. Returns a bindery_trap.
typedef int32_t bindery_host_call(bindery_context *context, const bindery_function *function, bindery_slot *slots);

/// A function instance. A function reference is its address; null is 0.
struct bindery_function {
  const bindery_code *code;    // NULL: a host function
  bindery_instance *instance;  // NULL: a host function
  bindery_host_call *host;
  void *owner;                 // unretained: Swift `HostFunction` or `Instance`
  uint32_t type_id;            // canonical number of the function type
  uint32_t parameter_count;
  uint32_t result_count;
  uint32_t index;              // in the index space of its instance
};

/// Elements are references: addresses of bindery_function, or host numbers + 1; null is 0.
typedef struct bindery_table {
  uint64_t *elements;
  uint64_t count;
} bindery_table;

/// What handlers need of an instance. The views of its memories follow the struct.
struct bindery_instance {
  bindery_function **functions;
  bindery_slot **globals;
  bindery_table **tables;
  void *owner;  // unretained: Swift `Instance`
};

static inline bindery_memory_view *bindery_instance_view(bindery_instance *instance, uint32_t index) {
  return (bindery_memory_view *)(void *)(instance + 1) + index;
}
/// Distance of a view from its instance in units of 8 bytes, as instructions hold it.
static inline uint32_t bindery_view_field(uint32_t index) {
  return (uint32_t)((sizeof(bindery_instance) + index * sizeof(bindery_memory_view)) / 8);
}
static inline size_t bindery_instance_byte_count(uint32_t memory_count) {
  return sizeof(bindery_instance) + memory_count * sizeof(bindery_memory_view);
}

/// Linkage of one call. A frame without code is a marker that restores the caller's instance.
typedef struct bindery_frame {
  const uint64_t *return_pc;
  uint8_t *caller_slots;
  const bindery_code *code;
  bindery_instance *instance;
} bindery_frame;

/// A rare instruction done in Swift: operands in slots[0...], the result (if any) goes to slots[0]. Returns a bindery_trap.
typedef int32_t bindery_runtime_call(
    bindery_context *context, bindery_instance *instance, uint32_t operation, uint32_t first, uint32_t second,
    bindery_slot *slots);
/// Asked at a safepoint when `interrupt` is not zero, and between the pieces of bulk work whatever it is: a bindery_trap, or 0 to
/// go on.
typedef int32_t bindery_interrupt_call(bindery_context *context);
/// Asked when a frame does not fit the stacks: 0 if they now reach to `wanted_slots_end` and `wanted_frames_end`, or a bindery_trap.
typedef int32_t bindery_stack_call(bindery_context *context);

enum {
  BINDERY_INTERRUPT_CANCEL = 1,
  BINDERY_INTERRUPT_DEADLINE = 2,
  /// Asks for a safepoint only: see bindery_context_await_safepoint.
  BINDERY_INTERRUPT_SAFEPOINT = 4,
  /// Asks for a look at the clock at every safepoint: where no other thread can watch it.
  BINDERY_INTERRUPT_CLOCK = 8,
  /// Asks for a look at the memories: a page of some file was lost.
  BINDERY_INTERRUPT_LOST = 16,
};

/// One thread of execution: the stacks, the flags it polls, and where it stopped.
struct bindery_context {
  uint32_t interrupt;  // atomic; bits above, set from any thread
  uint32_t lost_page_count_seen;
  // Odd while guest code runs; grows with every safepoint. Written by the thread that runs, only if shares_memory.
  uint32_t activity;
  // Whether an instance of the store has a shared memory.
  uint32_t shares_memory;
  // How far the stacks may be used now. They reach further as calls need it, see bindery_stack_call.
  uint8_t *slots_end;
  bindery_frame *frames_end;
  const uint32_t *lost_page_count;
  int64_t fuel;
  bindery_runtime_call *runtime_call;
  bindery_interrupt_call *interrupt_call;
  bindery_stack_call *stack_call;
  void *owner;  // unretained: Swift `Store`
  // Where a nested run begins: valid while a host function runs.
  uint8_t *slots_top;
  bindery_frame *frame_top;
  bindery_instance *caller_instance;
  // The trap.
  int32_t trap;
  const uint64_t *trap_pc;
  bindery_frame *trap_frame;
  // The access that missed its window.
  uint64_t missed_address;
  uint32_t missed_byte_count;
  int32_t missed_is_write;
  uint32_t missed_view_field;
  // Whether bulk work takes fuel.
  uint32_t consumes_fuel;
  // What a frame that did not fit needs.
  uintptr_t wanted_slots_end;
  uintptr_t wanted_frames_end;
  // Code that calls return to.
  uint64_t exit_code[1];
  uint64_t cross_return_code[1];
};

/// The sets of handlers in this build, best last. Only those that this machine can run may be used.
typedef struct bindery_handler_set {
  const char *name;
  const void *const *handlers;  // by opcode; generated order
  uint32_t count;
} bindery_handler_set;

/// The best set for this machine; `portable` asks for the one that runs everywhere.
const bindery_handler_set *bindery_handler_set_get(bool portable);

/// Prepares the context's stubs for a set of handlers.
void bindery_context_prepare(bindery_context *context, const bindery_handler_set *set);

/// Runs a function whose arguments lie in slots[0...]; results are left there. Returns a bindery_trap; the place of a trap is
/// in the context. `frame` is the last frame in use (a record below the first usable one).
int32_t bindery_run(bindery_context *context, const bindery_function *function, uint8_t *slots, bindery_frame *frame);

/// Takes the fuel for work on `byte_count` bytes: 1 for each `bytes_of_one`, rounded up. False if there is not enough; then none is
/// left.
static inline bool bindery_context_take_fuel(bindery_context *context, uint64_t byte_count, uint64_t bytes_of_one) {
  if (__builtin_expect(context->consumes_fuel == 0, 1)) return true;
  uint64_t wanted = byte_count / bytes_of_one + (byte_count % bytes_of_one != 0);
  if (context->fuel < 0 || wanted > (uint64_t)context->fuel) {
    context->fuel = 0;
    return false;
  }
  context->fuel -= (int64_t)wanted;
  return true;
}
enum {
  /// Bytes of bulk work that 1 of fuel pays for: as many as the widest store instruction writes.
  BINDERY_FUEL_BULK_BYTES = 16,
  /// Bytes of pages grown, mapped, unmapped, protected or discarded.
  BINDERY_FUEL_PAGE_BYTES = 256,
};

/// Whether the system would give that much memory now: before an allocation that cannot fail without ending the process.
bool bindery_can_allocate(size_t byte_count);

/// Time that never goes back.
int64_t bindery_monotonic_nanoseconds(void);

/// True where so little of the calling thread's stack is left that the host should call no guest: see native_stack.c.
bool bindery_native_stack_is_short(void);

/// At most this many bytes are filled or copied between two looks at the interrupt word and the clock.
enum { BINDERY_BULK_BYTES = 1 << 20 };

// Safepoints, for what other threads do to pages of shared memories.
//
// Guest code tests an access and then makes it. Whoever takes a page away closes the windows of all views first, so that no
// later test passes; then it waits until no access that was tested before is still to be made, and only then changes the
// mappings of the process. Guest code runs "inside"; at a host call, a wait, a missed window and every other call of Swift
// it is "outside", where it touches no page. Stores without a shared memory do none of this.

/// Guest code goes outside: everything it did to memory is done.
static inline void bindery_context_leave(bindery_context *context) {
  uint32_t activity = __atomic_load_n(&context->activity, __ATOMIC_RELAXED);
  if (activity & 1) __atomic_store_n(&context->activity, activity + 1, __ATOMIC_RELEASE);
}

/// Guest code comes back inside: it sees the windows as they are now.
static inline void bindery_context_enter(bindery_context *context) {
  uint32_t activity = __atomic_load_n(&context->activity, __ATOMIC_RELAXED);
  if (activity & 1) return;
  __atomic_store_n(&context->activity, activity + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/// Waits until the context has been outside, or through a safepoint, since the call. Not for a thread that runs inside.
void bindery_context_await_safepoint(bindery_context *context);

static inline void bindery_context_interrupt(bindery_context *context, uint32_t bits) {
  __atomic_fetch_or(&context->interrupt, bits, __ATOMIC_RELAXED);
}
static inline void bindery_context_clear_interrupt(bindery_context *context, uint32_t bits) {
  __atomic_fetch_and(&context->interrupt, ~bits, __ATOMIC_RELAXED);
}
static inline uint32_t bindery_context_interrupt_bits(const bindery_context *context) {
  return __atomic_load_n(&context->interrupt, __ATOMIC_RELAXED);
}
