// The trace in native code: the same allocator, a bump allocator and the system's. Prints nanoseconds an operation.
#include <stdint.h>
#include <stdio.h>
#include <time.h>

void trace_start(uint32_t seed, uint32_t touches_all);
void trace_run(uint32_t phase, uint32_t step_count);
uint64_t get_operation_count(void);

int main(int count, char **arguments) {
  static const uint32_t steps[] = {300000, 60000, 130000, 300000};
  struct timespec start, end;
  trace_start(1, 0);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  for (uint32_t phase = 0; phase < 4; phase++) trace_run(phase, steps[phase]);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  double nanoseconds = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
  printf("%-10s %6.1f ns\n", count > 1 ? arguments[1] : "", nanoseconds / get_operation_count());
  return 0;
}
