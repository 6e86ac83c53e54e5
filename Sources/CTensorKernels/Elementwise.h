// Elementwise kernels, normalisation, rotary positions, softmax, top-k, dequantisation and quantisation, in plain C.
//
// Included once by each level (LevelPortable.c, LevelAVX2.c, LevelAVX512.c) inside that level's target attribute, so that the
// compiler vectorises the same loops for each. The level defines before: tk_half_to_float, tk_float_to_half.
#include "Internal.h"
#include <math.h>

/// f32 in memory that need not be aligned; loops over it vectorise to unaligned loads.
typedef float tk_f32 __attribute__((aligned(1)));
typedef uint16_t tk_u16 __attribute__((aligned(1)));

TK_INLINE float tk_bf16_to_float(uint16_t h) { return tk_bits_to_f32((uint32_t)h << 16); }

/// Element `i` of an operand of type f32, f16 or bf16.
TK_INLINE float tk_load_element(const void *p, uint32_t type, ptrdiff_t i) {
  if (type == TK_TYPE_F32) return ((const tk_f32 *)p)[i];
  const uint16_t half = ((const tk_u16 *)p)[i];
  return type == TK_TYPE_F16 ? tk_half_to_float(half) : tk_bf16_to_float(half);
}

// MARK: Functions of one number

// e^x, relative error below 2e-7 from -87 to 88, gradual underflow and overflow beyond, NaN for NaN.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by a polynomial (Chebyshev fit of (e^r - 1 - r) / r²); 2^n as two factors, so
// that results in the subnormal range and the largest ones come out right. n is found by adding 1.5 * 2^23, whose low bits
// are then the integer: no conversion that is undefined for NaN.
TK_INLINE float tk_exp(float x) {
  const float bounded = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
  const float shifted = bounded * 0x1.715476p+0f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const int32_t exponent = (int32_t)(tk_f32_to_bits(shifted) - 0x4b400000u);
  const float r = (bounded - n * 0x1.62e400p-1f) - n * 0x1.7f7d1cp-20f;
  float p = 0x1.6d4326p-10f;
  p = p * r + 0x1.120b70p-7f;
  p = p * r + 0x1.5554eap-5f;
  p = p * r + 0x1.5554dcp-3f;
  p = p * r + 0.5f;
  p = (p * r) * r + r + 1.0f;
  const int32_t half = exponent >> 1;
  const float first = tk_bits_to_f32((uint32_t)(half + 127) << 23);
  const float second = tk_bits_to_f32((uint32_t)(exponent - half + 127) << 23);
  return p * first * second;
}

TK_INLINE float tk_silu_of(float x) { return x / (1.0f + tk_exp(-x)); }

// x (1 + tanh z) / 2 = x / (1 + e^-2z), which loses no digits for negative x.
TK_INLINE float tk_gelu_tanh_of(float x) {
  const float z2 = 1.5957691216057308f * (x + 0.044715f * x * x * x);
  return x / (1.0f + tk_exp(-z2));
}

// With z = |x| / √2: below 1, erf(z) = z P(z²); from 1, erfc(z) = e^(-z² - Q(z)) (Chebyshev fits over [0, 1] and [1, 6]).
// The tail uses erfc itself, so that small results for negative x keep their digits.
TK_INLINE float tk_gelu_of(float x) {
  const float z = fabsf(x) * 0x1.6a09e6p-1f;
  const float t = z * z;
  float p = 0x1.4a9dacp-14f;
  p = p * t - 0x1.a46b40p-11f;
  p = p * t + 0x1.541636p-8f;
  p = p * t - 0x1.b7fb38p-6f;
  p = p * t + 0x1.ce2d18p-4f;
  p = p * t - 0x1.81273ep-2f;
  p = p * t + 0x1.20dd74p+0f;
  const float near_zero = 0.5f * x + 0.5f * fabsf(x) * z * p;
  const float y = z > 6.0f ? 6.0f : z;
  float q = -0x1.9e984cp-28f;
  q = q * y + 0x1.3c81c4p-22f;
  q = q * y - 0x1.b97250p-18f;
  q = q * y + 0x1.75d7eap-14f;
  q = q * y - 0x1.af972cp-11f;
  q = q * y + 0x1.6a09e8p-8f;
  q = q * y - 0x1.ccb3c4p-6f;
  q = q * y + 0x1.ccf74ap-4f;
  q = q * y - 0x1.7b4c38p-2f;
  q = q * y + 0x1.21a258p+0f;
  q = q * y - 0x1.2db306p-11f;
  const float tail = 0.5f * fabsf(x) * tk_exp(-t - q);
  const float far = x > 0 ? x - tail : -tail;
  return z < 1.0f ? near_zero : far;
}

// MARK: Elementwise

// An output may equal an input, which the compiler must assume of every store: written in place, the loops would run element by element
// where it does (of x / (1 + e^-x) a quarter of the speed). So a block is computed beside its place, and stored when it is whole.
enum { tk_element_block = 64 };

/// o[i] = EXPRESSION of i, for 0 <= i < count.
#define TK_ELEMENTWISE(EXPRESSION) \
  for (ptrdiff_t first = 0; first < count; first += tk_element_block) { \
    float block[tk_element_block]; \
    if (count - first >= tk_element_block) { \
      for (ptrdiff_t j = 0; j < tk_element_block; j++) { \
        const ptrdiff_t i = first + j; \
        block[j] = EXPRESSION; \
      } \
      memcpy(o + first, block, sizeof block); \
    } else { \
      for (ptrdiff_t i = first; i < count; i++) block[i - first] = EXPRESSION; \
      memcpy(o + first, block, (size_t)(count - first) * sizeof *block); \
    } \
  }

static void add(float *out, const float *a, const float *b, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *s = a, *t = b;
  TK_ELEMENTWISE(s[i] + t[i])
}

static void mul(float *out, const float *a, const float *b, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *s = a, *t = b;
  TK_ELEMENTWISE(s[i] * t[i])
}

static void scale(float *out, const float *x, ptrdiff_t count, float factor) {
  tk_f32 *o = out; const tk_f32 *s = x;
  TK_ELEMENTWISE(s[i] * factor)
}

// Weights and biases of any type: 256 of them at a time as f32, the longest block.
enum { tk_weight_chunk = 256 };

static void dequantize_row(float *out, const void *w, uint32_t type, ptrdiff_t row, ptrdiff_t columns);

/// Elements [first, first + count) of a vector of any weight type: where they lie, if that is f32, or converted in `buffer`.
TK_INLINE const tk_f32 *tk_weights_from(
  const void *w, uint32_t type, ptrdiff_t first, ptrdiff_t count, float buffer[tk_weight_chunk]) {
  const uint8_t *p = (const uint8_t *)w + tk_row_byte_count(type, first);
  if (type == TK_TYPE_F32) return (const tk_f32 *)p;
  dequantize_row(buffer, p, type, 0, count);
  return buffer;
}

static void add_bias(float *out, const float *x, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns) {
  for (ptrdiff_t first = 0; first < columns; first += tk_weight_chunk) {
    const ptrdiff_t count = columns - first < tk_weight_chunk ? columns - first : tk_weight_chunk;
    float buffer[tk_weight_chunk];
    const tk_f32 *b = tk_weights_from(bias, type, first, count, buffer);
    for (ptrdiff_t r = 0; r < rows; r++) {
      tk_f32 *o = out + r * columns + first; const tk_f32 *s = x + r * columns + first;
      for (ptrdiff_t i = 0; i < count; i++) o[i] = s[i] + b[i];
    }
  }
}

static void silu(float *out, const float *x, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *s = x;
  TK_ELEMENTWISE(tk_silu_of(s[i]))
}

static void gelu(float *out, const float *x, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *s = x;
  TK_ELEMENTWISE(tk_gelu_of(s[i]))
}

static void gelu_tanh(float *out, const float *x, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *s = x;
  TK_ELEMENTWISE(tk_gelu_tanh_of(s[i]))
}

static void silu_mul(float *out, const float *gate, const float *up, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *g = gate, *u = up;
  TK_ELEMENTWISE(tk_silu_of(g[i]) * u[i])
}

static void gelu_tanh_mul(float *out, const float *gate, const float *up, ptrdiff_t count) {
  tk_f32 *o = out; const tk_f32 *g = gate, *u = up;
  TK_ELEMENTWISE(tk_gelu_tanh_of(g[i]) * u[i])
}

// MARK: Normalisation

static void rms_norm(
  float *out, const float *x, const void *weight, uint32_t type, ptrdiff_t rows, ptrdiff_t columns, float eps) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    tk_f32 *o = out + r * columns; const tk_f32 *s = x + r * columns;
    float squares = 0;
    {
#pragma clang fp reassociate(on) contract(fast)
      for (ptrdiff_t i = 0; i < columns; i++) squares += s[i] * s[i];
    }
    const float factor = 1.0f / sqrtf(squares / (float)columns + eps);
    for (ptrdiff_t first = 0; first < columns; first += tk_weight_chunk) {
      const ptrdiff_t count = columns - first < tk_weight_chunk ? columns - first : tk_weight_chunk;
      float buffer[tk_weight_chunk];
      const tk_f32 *w = tk_weights_from(weight, type, first, count, buffer);
      for (ptrdiff_t i = 0; i < count; i++) o[first + i] = s[first + i] * factor * w[i];
    }
  }
}

static void layer_norm(
  float *out, const float *x, const void *weight, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns,
  float eps) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    tk_f32 *o = out + r * columns; const tk_f32 *s = x + r * columns;
    float sum = 0, squares = 0;
    {
#pragma clang fp reassociate(on) contract(fast)
      for (ptrdiff_t i = 0; i < columns; i++) sum += s[i];
    }
    const float mean = sum / (float)columns;
    {
#pragma clang fp reassociate(on) contract(fast)
      for (ptrdiff_t i = 0; i < columns; i++) squares += (s[i] - mean) * (s[i] - mean);
    }
    const float factor = 1.0f / sqrtf(squares / (float)columns + eps);
    for (ptrdiff_t first = 0; first < columns; first += tk_weight_chunk) {
      const ptrdiff_t count = columns - first < tk_weight_chunk ? columns - first : tk_weight_chunk;
      float buffer[tk_weight_chunk], second_buffer[tk_weight_chunk];
      const tk_f32 *w = tk_weights_from(weight, type, first, count, buffer);
      const tk_f32 *b = tk_weights_from(bias, type, first, count, second_buffer);
      for (ptrdiff_t i = 0; i < count; i++) o[first + i] = (s[first + i] - mean) * factor * w[i] + b[i];
    }
  }
}

// MARK: Rotary positions

// Sine and cosine of an angle in turns, |error| < 1e-13: reduced to an eighth of a turn around the nearest quarter, then
// polynomials in the square (Chebyshev fits of sin 2πt / t and cos 2πt over |t| <= 1/4).
TK_INLINE void tk_sine_cosine_of_turns(double turns, float *sine, float *cosine) {
  const double rounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double shifted = turns * 4.0 + rounder;
  uint64_t bits;
  memcpy(&bits, &shifted, 8);
  const double t = turns - (shifted - rounder) * 0.25, u = t * t;
  double s = 0x1.d53b3f1114898p+1;
  s = s * u - 0x1.e29b88a157124p+3;
  s = s * u + 0x1.50770f838f72fp+5;
  s = s * u - 0x1.32d2c9b32a07ap+6;
  s = s * u + 0x1.466bc66ed48dbp+6;
  s = s * u - 0x1.4abbce624ad79p+5;
  s = s * u + 0x1.921fb54442bb0p+2;
  s = s * t;
  double c = -0x1.a5498cb720478p+0;
  c = c * u + 0x1.f962b009136e5p+2;
  c = c * u - 0x1.a6d078edb7e5ep+4;
  c = c * u + 0x1.e1f5011062f64p+5;
  c = c * u - 0x1.55d3c7d8c967fp+6;
  c = c * u + 0x1.03c1f0819feeap+6;
  c = c * u - 0x1.3bd3cc9be41c4p+4;
  c = c * u + 0x1.fffffffffffefp-1;
  const uint32_t quarter = (uint32_t)bits & 3;
  const double a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
  *sine = (float)(quarter & 2 ? -a : a);
  *cosine = (float)((quarter + 1) & 2 ? -b : b);
}

// Pairs are handled 64 at a time, so that the table is small whatever rope_dim is.
enum { tk_rope_pairs = 64 };

static void rope(
  float *x, const int32_t *positions, ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_dim, ptrdiff_t rope_dim, float base,
  float scale, int32_t mode) {
  const ptrdiff_t pairs = rope_dim / 2;
  if (pairs <= 0) return;
  const double ratio = pow((double)base, -2.0 / (double)rope_dim);
  double frequency = (double)scale * 0.15915494309189533577;  // turns per position of pair 0
  for (ptrdiff_t first = 0; first < pairs; first += tk_rope_pairs) {
    const ptrdiff_t count = pairs - first < tk_rope_pairs ? pairs - first : tk_rope_pairs;
    double frequencies[tk_rope_pairs];
    for (ptrdiff_t i = 0; i < count; i++) {
      frequencies[i] = frequency;
      frequency *= ratio;
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
      const double position = tk_load_i32(positions + r);
      float sines[tk_rope_pairs], cosines[tk_rope_pairs];
      for (ptrdiff_t i = 0; i < count; i++) {
        tk_sine_cosine_of_turns(position * frequencies[i], &sines[i], &cosines[i]);
      }
      for (ptrdiff_t h = 0; h < heads; h++) {
        tk_f32 *head = x + (r * heads + h) * head_dim;
        if (mode == 0) {
          tk_f32 *pair = head + 2 * first;
          for (ptrdiff_t i = 0; i < count; i++) {
            const float a = pair[2 * i], b = pair[2 * i + 1];
            pair[2 * i] = a * cosines[i] - b * sines[i];
            pair[2 * i + 1] = a * sines[i] + b * cosines[i];
          }
        } else {
          tk_f32 *low = head + first, *high = head + pairs + first;
          for (ptrdiff_t i = 0; i < count; i++) {
            const float a = low[i], b = high[i];
            low[i] = a * cosines[i] - b * sines[i];
            high[i] = a * sines[i] + b * cosines[i];
          }
        }
      }
    }
  }
}

// MARK: Distributions

static void softmax(float *out, const float *x, ptrdiff_t rows, ptrdiff_t columns) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    tk_f32 *o = out + r * columns; const tk_f32 *s = x + r * columns;
    float maximum = -INFINITY, sum = 0;
    {
      // Sixteen running maxima: an order the compiler can vectorise without assuming anything about NaN.
      float lanes[16];
      for (int i = 0; i < 16; i++) lanes[i] = -INFINITY;
      ptrdiff_t i = 0;
      for (; i + 16 <= columns; i += 16) {
        for (int j = 0; j < 16; j++) lanes[j] = s[i + j] > lanes[j] ? s[i + j] : lanes[j];
      }
      for (; i < columns; i++) lanes[0] = s[i] > lanes[0] ? s[i] : lanes[0];
      for (int j = 0; j < 16; j++) maximum = lanes[j] > maximum ? lanes[j] : maximum;
    }
    const ptrdiff_t count = columns;
    TK_ELEMENTWISE(tk_exp(s[i] - maximum))
    {
#pragma clang fp reassociate(on)
      for (ptrdiff_t i = 0; i < columns; i++) sum += o[i];
    }
    const float factor = 1.0f / sum;
    for (ptrdiff_t i = 0; i < columns; i++) o[i] *= factor;
  }
}

TK_INLINE float tk_sort_key(float x) { return x == x ? x : -INFINITY; }

/// Whether (value, id) a comes after b in the result: smaller, or equal and later.
TK_INLINE bool tk_is_worse(float a, int32_t a_id, float b, int32_t b_id) {
  const float x = tk_sort_key(a), y = tk_sort_key(b);
  return x < y || (x == y && a_id > b_id);
}

/// Restores the heap (worst entry at the root) below `root` of `count` entries.
TK_INLINE void tk_sift_down(tk_f32 *values, int32_t *ids, ptrdiff_t root, ptrdiff_t count) {
  const float value = values[root];
  const int32_t id = tk_load_i32(ids + root);
  for (;;) {
    ptrdiff_t child = 2 * root + 1;
    if (child >= count) break;
    if (child + 1 < count
        && tk_is_worse(values[child + 1], tk_load_i32(ids + child + 1), values[child], tk_load_i32(ids + child))) {
      child++;
    }
    if (!tk_is_worse(values[child], tk_load_i32(ids + child), value, id)) break;
    values[root] = values[child];
    memcpy(ids + root, ids + child, 4);
    root = child;
  }
  values[root] = value;
  memcpy(ids + root, &id, 4);
}

/// The part of [first, end) that lies in a phase of `length` steps which begins at step `start`, counted from there.
TK_INLINE ptrdiff_t tk_phase_first(ptrdiff_t first, ptrdiff_t start) { return first > start ? first - start : 0; }
TK_INLINE ptrdiff_t tk_phase_end(ptrdiff_t end, ptrdiff_t start, ptrdiff_t length) {
  return end <= start ? 0 : end - start < length ? end - start : length;
}

// A heap of the k best so far, its worst at the root. Almost every element is below that, which is tested 32 at a time.
static void top_k_steps(
  float *values, int32_t *ids, const float *x, ptrdiff_t columns, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count) {
  if (k <= 0) return;
  const tk_f32 *s = x;
  tk_f32 *v = values;
  int32_t *n = ids;
  const ptrdiff_t step_end = first + count;
  for (ptrdiff_t i = tk_phase_first(first, 0); i < tk_phase_end(step_end, 0, k); i++) {
    const int32_t id = (int32_t)i;
    v[i] = s[i];
    memcpy(n + i, &id, 4);
  }
  ptrdiff_t start = k;
  for (ptrdiff_t i = tk_phase_first(first, start); i < tk_phase_end(step_end, start, k / 2); i++) {
    tk_sift_down(v, n, k / 2 - 1 - i, k);
  }
  start += k / 2;
  const ptrdiff_t scan_end = k + tk_phase_end(step_end, start, columns - k);
  for (ptrdiff_t i = k + tk_phase_first(first, start); i < scan_end;) {
    const float threshold = tk_sort_key(v[0]);
    if (i + 32 <= scan_end) {
      int any = 0;
      for (int j = 0; j < 32; j++) any |= s[i + j] > threshold;
      if (!any) {
        i += 32;
        continue;
      }
    }
    const ptrdiff_t end = i + 32 <= scan_end ? i + 32 : scan_end;
    for (; i < end; i++) {
      // Later elements win only if they are larger: ties keep the lower index, which came first.
      if (s[i] > tk_sort_key(v[0])) {
        const int32_t id = (int32_t)i;
        v[0] = s[i];
        memcpy(n, &id, 4);
        tk_sift_down(v, n, 0, k);
      }
    }
  }
  start += columns - k;
  for (ptrdiff_t i = tk_phase_first(first, start); i < tk_phase_end(step_end, start, k - 1); i++) {
    const ptrdiff_t last = k - 1 - i;
    const float value = v[0];
    const int32_t id = tk_load_i32(n);
    v[0] = v[last];
    memcpy(n, n + last, 4);
    tk_sift_down(v, n, 0, last);
    v[last] = value;
    memcpy(n + last, &id, 4);
  }
}

// MARK: Cache

static void cache_append(
  const float *x, void *cache, const int64_t *bases, const int32_t *positions, int64_t plane_offset, int64_t chunk_positions,
  int64_t chunk_stride, ptrdiff_t rows, ptrdiff_t width, uint32_t type) {
  const int64_t row_byte_count = width * (type == TK_TYPE_F32 ? 4 : 2);
  for (ptrdiff_t r = 0; r < rows; r++) {
    const tk_f32 *s = x + r * width;
    const int64_t position = tk_load_i32(positions + r);
    uint8_t *row = (uint8_t *)cache + tk_load_i64(bases + r) + position / chunk_positions * chunk_stride + plane_offset
      + position % chunk_positions * row_byte_count;
    if (type == TK_TYPE_F32) {
      memcpy(row, s, (size_t)row_byte_count);
    } else {
      tk_u16 *o = (tk_u16 *)row;
      for (ptrdiff_t i = 0; i < width; i++) o[i] = tk_float_to_half(s[i]);
    }
  }
}

// MARK: Quantised weights to numbers

/// The two six-bit numbers (scale, minimum) of sub-block j of a q4_K block's twelve bytes.
TK_INLINE void tk_q4_k_scale(const uint8_t *s, int j, int *scale, int *minimum) {
  if (j < 4) {
    *scale = s[j] & 63;
    *minimum = s[j + 4] & 63;
  } else {
    *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    *minimum = s[j + 4] >> 4 | (s[j] >> 6) << 4;
  }
}

/// The quantised integers of unit `unit` (32 inputs) of a row, and what they mean:
/// weight i = scale[i / 16] * q[i] + minimum[i / 16].
TK_INLINE void tk_unit_at(
  uint32_t type, const uint8_t *row, ptrdiff_t unit, int16_t q[32], float scale[2], float minimum[2]) {
  switch (type) {
    case TK_TYPE_Q4_0: case TK_TYPE_Q4_1: {
      const bool has_minimum = type == TK_TYPE_Q4_1;
      const uint8_t *block = row + unit * (has_minimum ? 20 : 18), *nibbles = block + (has_minimum ? 4 : 2);
      scale[0] = scale[1] = tk_half_to_float(tk_load_u16(block));
      minimum[0] = minimum[1] = has_minimum ? tk_half_to_float(tk_load_u16(block + 2)) : -8 * scale[0];
      for (int i = 0; i < 16; i++) {
        q[i] = nibbles[i] & 15;
        q[i + 16] = nibbles[i] >> 4;
      }
      break;
    }
    case TK_TYPE_Q5_0: case TK_TYPE_Q5_1: {
      const bool has_minimum = type == TK_TYPE_Q5_1;
      const uint8_t *block = row + unit * (has_minimum ? 24 : 22), *high = block + (has_minimum ? 4 : 2), *nibbles = high + 4;
      const uint32_t bits = tk_load_u32(high);
      scale[0] = scale[1] = tk_half_to_float(tk_load_u16(block));
      minimum[0] = minimum[1] = has_minimum ? tk_half_to_float(tk_load_u16(block + 2)) : -16 * scale[0];
      for (int i = 0; i < 16; i++) {
        q[i] = (int16_t)((nibbles[i] & 15) | (bits >> i & 1) << 4);
        q[i + 16] = (int16_t)(nibbles[i] >> 4 | (bits >> (i + 16) & 1) << 4);
      }
      break;
    }
    case TK_TYPE_Q8_0: {
      const uint8_t *block = row + unit * 34;
      scale[0] = scale[1] = tk_half_to_float(tk_load_u16(block));
      minimum[0] = minimum[1] = 0;
      for (int i = 0; i < 32; i++) q[i] = (int8_t)block[2 + i];
      break;
    }
    case TK_TYPE_Q4_K: {
      const uint8_t *block = row + unit / 8 * 144;
      const int j = (int)(unit % 8);
      int s, m;
      tk_q4_k_scale(block + 4, j, &s, &m);
      scale[0] = scale[1] = tk_half_to_float(tk_load_u16(block)) * (float)s;
      minimum[0] = minimum[1] = -(tk_half_to_float(tk_load_u16(block + 2)) * (float)m);
      const uint8_t *nibbles = block + 16 + j / 2 * 32;
      for (int i = 0; i < 32; i++) q[i] = j & 1 ? nibbles[i] >> 4 : nibbles[i] & 15;
      break;
    }
    case TK_TYPE_Q6_K: {
      // Half h of the block: units 4h ... 4h + 3 take their low bits from 64 bytes, their high bits from 32 bytes.
      const uint8_t *block = row + unit / 8 * 210;
      const int j = (int)(unit % 4), h = (int)(unit / 4 % 2);
      const uint8_t *low = block + 64 * h + (j & 1) * 32, *high = block + 128 + 32 * h;
      const int8_t *scales = (const int8_t *)block + 192 + 8 * h + 2 * j;
      const float d = tk_half_to_float(tk_load_u16(block + 208));
      for (int i = 0; i < 2; i++) {
        scale[i] = d * (float)scales[i];
        minimum[i] = -32 * scale[i];
      }
      for (int i = 0; i < 32; i++) {
        q[i] = (int16_t)((j >= 2 ? low[i] >> 4 : low[i] & 15) | (high[i] >> (2 * j) & 3) << 4);
      }
      break;
    }
    default: break;
  }
}

TK_INLINE void tk_dequantize_units(uint32_t type, tk_f32 *out, const uint8_t *row, ptrdiff_t columns) {
  for (ptrdiff_t unit = 0; unit < columns / TK_UNIT; unit++) {
    int16_t q[32];
    float scale[2], minimum[2];
    tk_unit_at(type, row, unit, q, scale, minimum);
    tk_f32 *o = out + unit * TK_UNIT;
    if (type == TK_TYPE_Q4_0 || type == TK_TYPE_Q5_0 || type == TK_TYPE_Q6_K) {
      // The offset is subtracted from the integer: one rounding, as in the definition of the type.
      const int offset = type == TK_TYPE_Q4_0 ? 8 : type == TK_TYPE_Q5_0 ? 16 : 32;
      for (int h = 0; h < 2; h++) {
        for (int i = 0; i < 16; i++) o[16 * h + i] = scale[h] * (float)(q[16 * h + i] - offset);
      }
    } else {
      for (int i = 0; i < 32; i++) o[i] = scale[0] * (float)q[i] + minimum[0];
    }
  }
}

static void dequantize_row(float *out, const void *w, uint32_t type, ptrdiff_t row, ptrdiff_t columns) {
  tk_f32 *o = out;
  const uint8_t *p = (const uint8_t *)w + row * tk_row_byte_count(type, columns);
  switch (type) {
    case TK_TYPE_F32: memcpy(o, p, (size_t)columns * 4); break;
    case TK_TYPE_F16: for (ptrdiff_t i = 0; i < columns; i++) o[i] = tk_half_to_float(((const tk_u16 *)p)[i]); break;
    case TK_TYPE_BF16: for (ptrdiff_t i = 0; i < columns; i++) o[i] = tk_bf16_to_float(((const tk_u16 *)p)[i]); break;
    case TK_TYPE_Q4_0: tk_dequantize_units(TK_TYPE_Q4_0, o, p, columns); break;
    case TK_TYPE_Q4_1: tk_dequantize_units(TK_TYPE_Q4_1, o, p, columns); break;
    case TK_TYPE_Q5_0: tk_dequantize_units(TK_TYPE_Q5_0, o, p, columns); break;
    case TK_TYPE_Q5_1: tk_dequantize_units(TK_TYPE_Q5_1, o, p, columns); break;
    case TK_TYPE_Q8_0: tk_dequantize_units(TK_TYPE_Q8_0, o, p, columns); break;
    case TK_TYPE_Q4_K: tk_dequantize_units(TK_TYPE_Q4_K, o, p, columns); break;
    case TK_TYPE_Q6_K: tk_dequantize_units(TK_TYPE_Q6_K, o, p, columns); break;
    default: break;
  }
}

static void dequantize_rows(
  float *out, const void *w, uint32_t type, ptrdiff_t first, ptrdiff_t count, ptrdiff_t columns) {
  for (ptrdiff_t r = 0; r < count; r++) dequantize_row(out + r * columns, w, type, first + r, columns);
}

static void get_rows(float *out, const void *w, uint32_t type, const int32_t *ids, ptrdiff_t rows, ptrdiff_t columns) {
  for (ptrdiff_t r = 0; r < rows; r++) dequantize_row(out + r * columns, w, type, tk_load_i32(ids + r), columns);
}

// MARK: Numbers to quantised activations

static void quantize_activations(void *activations, const float *x, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t count) {
  for (ptrdiff_t r = first; r < first + count; r++) {
    uint8_t *base = (uint8_t *)activations + r * tk_activation_row_byte_count(columns);
    int8_t *q = (int8_t *)base;
    tk_f32 *pairs = (tk_f32 *)(base + columns), *halves = pairs + columns / TK_UNIT * 2;
    for (ptrdiff_t unit = 0; unit < columns / TK_UNIT; unit++) {
      const tk_f32 *s = x + r * columns + unit * TK_UNIT;
      // As integers the magnitudes of floats keep their order, and NaN is the largest: so NaN becomes the scale.
      uint32_t largest = 0;
      for (int i = 0; i < TK_UNIT; i++) {
        const uint32_t magnitude = tk_f32_to_bits(s[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
      }
      const float maximum = tk_bits_to_f32(largest);
      const bool is_zero = maximum < 0x1p-110f;  // 127 / maximum stays finite
      const float scale = is_zero ? 0 : maximum * (1.0f / 127.0f), inverse = is_zero ? 0 : 127.0f / maximum;
      int32_t sum[2] = {0, 0};
      int8_t *o = q + unit * TK_UNIT;
      for (int h = 0; h < 2; h++) {
        for (int i = 16 * h; i < 16 * h + 16; i++) {
          float v = s[i] * inverse;
          v = v >= -127.0f ? v : -127.0f;  // also NaN, which has no integer
          v = v <= 127.0f ? v : 127.0f;
          // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
          const int32_t n = (int32_t)(tk_f32_to_bits(v + 12582912.0f) - 0x4b400000u);
          o[i] = (int8_t)n;
          sum[h] += n;
        }
      }
      pairs[2 * unit] = scale;
      pairs[2 * unit + 1] = scale * (float)(sum[0] + sum[1]);
      halves[2 * unit] = scale * (float)sum[0];
      halves[2 * unit + 1] = scale * (float)sum[1];
    }
  }
}
