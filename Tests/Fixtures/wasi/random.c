// Random numbers differ.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  unsigned char a[256], b[256];
  printf("%d %d\n", getentropy(a, sizeof a), getentropy(b, sizeof b));
  int zeroes = 0;
  for (int i = 0; i < 256; i++) zeroes += a[i] == 0;
  printf("%d %d\n", memcmp(a, b, sizeof a) != 0, zeroes < 32);
  return 0;
}
