#include "Kernels.h"

// MARK: Matrix

enum { N = 24 };
static int16_t a[N * N], b[N * N];
static int32_t c[N * N];

void engine_matrix_prepare(void) {
  uint64_t state = 0x2545F4914F6CDD1D;
  for (int i = 0; i < N * N; i++) {
    a[i] = (int16_t)(engine_random(&state) & 0xFF);
    b[i] = (int16_t)(engine_random(&state) & 0xFF);
  }
}

/// Follows the rises and the falls of the products, which a compiler cannot vectorise.
__attribute__((noinline)) static uint64_t sum_of_products(uint64_t sum, int32_t clip) {
  int32_t last = 0, total = 0, found = 0;
  for (int i = 0; i < N * N; i++) {
    int32_t value = c[i];
    total += value;
    if (total > clip) {
      found += 10;
      total = 0;
    } else {
      found += value > last;
    }
    last = value;
  }
  return engine_mix(sum, (uint32_t)found);
}

uint64_t engine_matrix(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    int16_t value = (int16_t)(repetition & 0x1F);
    for (int i = 0; i < N * N; i++) a[i] = (int16_t)(a[i] + value);
    for (int i = 0; i < N * N; i++) c[i] = a[i] * value;
    sum = sum_of_products(sum, 10000);
    for (int i = 0; i < N; i++) {
      c[i] = 0;
      for (int j = 0; j < N; j++) c[i] += a[i * N + j] * b[j];
    }
    sum = sum_of_products(sum, 20000);
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        int32_t product = 0;
        for (int k = 0; k < N; k++) product += a[i * N + k] * b[k * N + j];
        c[i * N + j] = product;
      }
    sum = sum_of_products(sum, 30000);
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        int32_t product = 0;
        for (int k = 0; k < N; k++) {
          int32_t term = a[i * N + k] * b[k * N + j];
          product += (term >> 2 & 0xF) * (term >> 5 & 0x7F);
        }
        c[i * N + j] = product;
      }
    sum = sum_of_products(sum, 40000);
    for (int i = 0; i < N * N; i++) a[i] = (int16_t)(a[i] - value);
  }
  return sum;
}

// MARK: State machine

enum { TEXT_LENGTH = 4096 };
static uint8_t text[TEXT_LENGTH];

void engine_text_prepare(void) {
  static const char words[16][9] = {
    "5012",     "1234",     "-874",     "+122",     "35.54400", ".1234500", "-110.700", "+0.64400",
    "5.500e+3", "-.123e-2", "-87e+832", "+0.6e-12", "T0.3e-1F", "-T.T++Tq", "1T3.4e4z", "34.0e-T^",
  };
  uint64_t state = 0xD1B54A32D192ED03;
  int length = 0;
  while (length < TEXT_LENGTH) {
    const char *word = words[engine_random(&state) >> 20 & 15];
    while (*word && length < TEXT_LENGTH) text[length++] = (uint8_t)*word++;
    if (length < TEXT_LENGTH) text[length++] = ',';
  }
}

typedef enum { START, INVALID, SIGN, INTEGER, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, STATE_COUNT } state;

static int is_digit(uint8_t character) { return character >= '0' && character <= '9'; }

uint64_t engine_state_machine(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    uint32_t ends[STATE_COUNT] = {0}, transition_count = 0;
    text[(repetition * 61) & (TEXT_LENGTH - 1)] ^= 1;
    state now = START;
    for (int i = 0; i < TEXT_LENGTH; i++) {
      uint8_t character = text[i];
      state before = now;
      if (character == ',') {
        ends[now]++;
        now = START;
        continue;
      }
      switch (now) {
      case START:
        now = is_digit(character) ? INTEGER : character == '+' || character == '-' ? SIGN : character == '.' ? FRACTION : INVALID;
        break;
      case SIGN: now = is_digit(character) ? INTEGER : character == '.' ? FRACTION : INVALID; break;
      case INTEGER:
        if (character == '.') now = FRACTION;
        else if (character == 'e') now = EXPONENT;
        else if (!is_digit(character)) now = INVALID;
        break;
      case FRACTION:
        if (character == 'e') now = EXPONENT;
        else if (!is_digit(character)) now = INVALID;
        break;
      case EXPONENT: now = character == '+' || character == '-' ? EXPONENT_SIGN : INVALID; break;
      case EXPONENT_SIGN: now = is_digit(character) ? SCIENTIFIC : INVALID; break;
      case SCIENTIFIC:
        if (!is_digit(character)) now = INVALID;
        break;
      default: break;
      }
      transition_count += now != before;
    }
    for (int i = 0; i < STATE_COUNT; i++) sum = engine_mix(sum, ends[i]);
    sum = engine_mix(sum, transition_count);
  }
  return sum;
}

// MARK: CRC

uint64_t engine_crc(int32_t repetitions) {
  uint16_t crc = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++)
    for (int i = 0; i < TEXT_LENGTH; i++) {
      uint8_t data = text[i];
      for (int bit = 0; bit < 8; bit++) {
        uint8_t carry = (uint8_t)((data ^ crc) & 1);
        data >>= 1;
        if (carry) crc ^= 0x4002;
        crc >>= 1;
        if (carry) crc |= 0x8000;
      }
    }
  return crc;
}

// MARK: Sort, generator, calls

enum { SORT_COUNT = 256 };
static int32_t values[SORT_COUNT];

uint64_t engine_sort(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    for (int i = 0; i < SORT_COUNT; i++) values[i] = (i * 7919 + repetition) % 257;
    uint32_t swap_count = 0;
    for (int end = SORT_COUNT - 1; end > 0; end--)
      for (int i = 0; i < end; i++)
        if (values[i] > values[i + 1]) {
          int32_t value = values[i];
          values[i] = values[i + 1];
          values[i + 1] = value;
          swap_count++;
        }
    sum = engine_mix(sum, swap_count + (uint32_t)values[repetition & (SORT_COUNT - 1)]);
  }
  return sum;
}

uint64_t engine_xorshift(int32_t repetitions) {
  uint64_t state = 88172645463325252, sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++)
    for (int i = 0; i < 4096; i++) sum += engine_random(&state);
  return sum;
}

/// Without the compiler's turning of the second call into a loop.
__attribute__((noinline, disable_tail_calls)) static int32_t fibonacci(int32_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint64_t engine_fibonacci(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    // Opaque to both compilers: the result is not taken for a constant.
    int32_t n = 21;
    __asm__ volatile("" : "+r"(n));
    sum = engine_mix(sum, (uint32_t)fibonacci(n));
  }
  return sum;
}
