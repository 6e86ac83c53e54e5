// Clocks go forward, and sleeping takes time.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(void) {
  struct timespec resolution;
  printf("resolution %d %s\n", clock_getres(CLOCK_MONOTONIC, &resolution), resolution.tv_nsec > 0 && resolution.tv_nsec < 100000000 ? "fine" : "coarse");
  printf("after 2020 %d\n", time(NULL) > 1577836800);
  double start = now(CLOCK_MONOTONIC), last = start;
  int backwards = 0;
  for (int i = 0; i < 1000; i++) { double next = now(CLOCK_MONOTONIC); backwards += next < last; last = next; }
  printf("backwards %d\n", backwards);
  struct timespec wait = {0, 30000000};
  printf("sleep %d\n", nanosleep(&wait, NULL));
  printf("slept long enough %d\n", now(CLOCK_MONOTONIC) - last >= 0.03);
  printf("usleep %d\n", usleep(1000));
  time_t fixed = 1234567890;
  char text[64];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime(&fixed));
  printf("%s\n", text);
  return 0;
}
