// The calling thread and the processors: for measurements.
#pragma once
#include <stdint.h>

/// The number of the index-th processor that the calling thread may run on, or -1 where there is none or the system does not tell.
int bindery_processor_number(int index);

/// Keeps the calling thread on one processor; threads that it starts stay there too. Returns 0, or an errno (ENOTSUP where threads
/// cannot be kept).
int bindery_thread_pin(int processor);

/// Seconds of processor time that the calling thread has taken.
double bindery_thread_processor_seconds(void);

/// Page faults of the calling thread since it began: served from memory, and with reading from a device. Returns 0, or the errno
/// of the failure: ENOTSUP where the system counts for whole processes only. About 0.3 µs.
int bindery_thread_fault_counts(int64_t *minor, int64_t *major);
