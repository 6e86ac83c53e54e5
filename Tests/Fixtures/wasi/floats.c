// Numbers to text and back.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  double values[] = {0.0, -0.0, 1.0, 0.1, 1.0 / 3, 1e-310, 1.7976931348623157e308, 123456789.125, -2.5e-7, 3e15};
  // %a of a subnormal is the library's choice: 1e-310 is left out there.
  for (int i = 0; i < 10; i++) printf("%f %e %g %.17g %a %10.3f|%-12.2e|%+.0f\n", values[i], values[i], values[i], values[i], i == 5 ? 1 : values[i], values[i], values[i], values[i]);
  printf("%f %f %f %g\n", INFINITY, -INFINITY, fabs(NAN), 1e100);
  const char *texts[] = {"3.14159265358979", "1e400", "-0x1.8p3", "nonsense", "  42.5xyz", "9007199254740993"};
  for (int i = 0; i < 6; i++) {
    char *end;
    double value = strtod(texts[i], &end);
    printf("%s -> %.17g, rest '%s'\n", texts[i], value, end);
  }
  double sum = 0;
  for (int i = 1; i <= 1000; i++) sum += sin(i) * sqrt(i) / log(i + 1.0) + pow(1.0001, i) - fmod(i, 0.7);
  printf("%.9f %ld %lld\n", sum, lround(2.5), llrint(1e15 + 0.5));
  int a, b; float f; char word[16];
  printf("%d ", sscanf("12 0x1f 2.5 word", "%d %i %f %15s", &a, &b, &f, word));
  printf("%d %d %.2f %s\n", a, b, f, word);
  return 0;
}
