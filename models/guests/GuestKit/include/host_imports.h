// What the host gives a guest besides memories and tensor operations.
#ifndef BINDERY_GUEST_HOST_IMPORTS_H
#define BINDERY_GUEST_HOST_IMPORTS_H

#include <stddef.h>
#include <stdint.h>

/// A line for the host's log: UTF-8 text in memory 0.
__attribute__((import_module("bindery"), import_name("log"))) void host_log(const uint8_t *text, int32_t byte_count);

/// Bytes of memory 0, 16-aligned, or NULL where it cannot grow (Allocator.c).
void *malloc(size_t byte_count);

/// First address of memory 0 that the linker did not use.
extern uint8_t __heap_base;
static inline __attribute__((always_inline)) uintptr_t guest_heap_base(void) { return (uintptr_t)&__heap_base; }
static inline __attribute__((always_inline)) uintptr_t guest_memory_page_count(void) { return __builtin_wasm_memory_size(0); }
/// The old page count, or all ones where memory 0 cannot grow.
static inline __attribute__((always_inline)) uintptr_t guest_memory_grow(uintptr_t page_count) {
  return __builtin_wasm_memory_grow(0, page_count);
}

#endif
