// The calling thread and the processors: for measurements.
#pragma once

/// The number of the index-th processor that the calling thread may run on, or -1 where there is none or the system does not tell.
int bindery_processor_number(int index);

/// Keeps the calling thread on one processor; threads that it starts stay there too. Returns 0, or an errno (ENOTSUP where threads
/// cannot be kept).
int bindery_thread_pin(int processor);

/// Seconds of processor time that the calling thread has taken.
double bindery_thread_processor_seconds(void);
