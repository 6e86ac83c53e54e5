// What happens when a file that is mapped shrinks, or its device fails: reading the page raises SIGBUS.
//
// One handler serves the process. For an address inside a registered range it marks the range lost, counts, maps zeroes over all
// of the range with one system call, however many pages are gone (each mapping of its own would count against vm.max_map_count),
// and returns, so that the thread goes on with zeroes; whoever asked for the data finds out at its next check. For every other
// address it calls the handler that was there before.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bindery_fault_range bindery_fault_range;

/// Registers an address range, installing the handler on the first call. A writable range (copy on write) gets writable pages
/// of zeroes. The handle stays valid until it is given back.
/// NULL with *error (errno) if there is no memory for it or the handler cannot be installed.
bindery_fault_range *bindery_fault_range_register(
    const void *address, size_t byte_count, bool is_writable, int *error);

/// A part of the range is no longer the file: its pages have been replaced and are not watched any more. On return no handler will
/// touch them. To be called between the replacement and the next use of the pages. Never fails; a hole in the middle takes memory
/// for another record, and where there is none, the range is replaced page by page from then on.
void bindery_fault_range_forget(bindery_fault_range *range, const void *address, size_t byte_count);

/// Pages of the range may be used for something else though they could not be replaced: lost pages are replaced one by one from
/// then on.
void bindery_fault_range_scatter(bindery_fault_range *range);

/// Gives the handle back. No thread may still read the range.
void bindery_fault_range_unregister(bindery_fault_range *range);

/// True once a page of the range has been lost.
bool bindery_fault_range_is_lost(const bindery_fault_range *range);

/// Somebody who runs code over files, and looks at an interrupt word from time to time.
typedef struct bindery_fault_listener bindery_fault_listener;

/// From now on every loss in this process sets the bits in the word, atomically, before the first zero can be read.
/// NULL if there is no memory for it.
bindery_fault_listener *bindery_fault_listener_register(uint32_t *word, uint32_t bits);

/// On return nobody touches the word any more.
void bindery_fault_listener_unregister(bindery_fault_listener *listener);

/// The number of losses in this process so far: faults on pages of files that are gone. An interpreter compares it with the value
/// it saw on entry where a call returns to it or to the host, and when its interrupt word says so: equal means that nothing was
/// lost. If it differs, `Memory.isLost` of each of its memories tells whether the trap `host mapping was lost` is due.
/// Lives at a fixed address for the life of the process, so that generated code can keep a pointer to it; read it relaxed.
const uint32_t *bindery_lost_page_count_pointer(void);

static inline uint32_t bindery_lost_page_count(void) {
  return __atomic_load_n(bindery_lost_page_count_pointer(), __ATOMIC_RELAXED);
}
