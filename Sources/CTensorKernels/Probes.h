// The probes of MachineProbes.h that every level has in the same form, in the compiler's vector extension.
// Included after Vectors.h, by a level that has defined TK_IN_REGISTER.

/// Nothing that follows may be computed before this, so a pass over the same bytes is not done once for all.
#define TK_NEXT_PASS() __asm__ volatile("" ::: "memory")

TK_INLINE tk_vu32 tk_words_load(const void *p) { tk_vu32 v; memcpy(&v, p, sizeof v); return v; }
TK_INLINE void tk_words_store(void *p, tk_vu32 v) { memcpy(p, &v, sizeof v); }
TK_INLINE void tk_word_store(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }

TK_INLINE tk_vu32 tk_words_fill(uint32_t word) {
  tk_vu32 v;
  for (int i = 0; i < TK_LANES; i++) v[i] = word;
  return v;
}

TK_INLINE uint32_t tk_words_sum(tk_vu32 v) {
  uint32_t sum = 0;
  for (int i = 0; i < TK_LANES; i++) sum += v[i];
  return sum;
}

// MARK: Reads

enum { tk_probe_step = 256, tk_probe_line = 64 };

TK_INLINE uint32_t tk_read_streams(
  const int streams, const bool fetches, const uint8_t *p, ptrdiff_t byte_count, ptrdiff_t ahead, ptrdiff_t passes) {
  const ptrdiff_t part = byte_count / streams / tk_probe_step * tk_probe_step;
  tk_vu32 sums[4] = {{0}};
  uint32_t rest = 0;
  for (ptrdiff_t pass = 0; pass < passes; pass++) {
    TK_NEXT_PASS();
    for (ptrdiff_t i = 0; i < part; i += tk_probe_step) {
#pragma clang loop unroll(full)
      for (int s = 0; s < streams; s++) {
        const uint8_t *q = p + s * part + i;
        if (fetches) {
#pragma clang loop unroll(full)
          for (int j = 0; j < tk_probe_step; j += tk_probe_line) __builtin_prefetch(q + ahead + j);
        }
#pragma clang loop unroll(full)
        for (int j = 0; j < (int)(tk_probe_step / sizeof(tk_vu32)); j++) {
          sums[j % 4] += tk_words_load(q + j * (ptrdiff_t)sizeof(tk_vu32));
        }
      }
    }
    for (ptrdiff_t i = streams * part; i + 4 <= byte_count; i += 4) rest += tk_load_u32(p + i);
  }
  return rest + tk_words_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static uint32_t probe_read(const void *p, ptrdiff_t byte_count, int streams, ptrdiff_t ahead, ptrdiff_t passes) {
#define TK_STREAMS(S) \
  ahead == 0 ? tk_read_streams(S, false, p, byte_count, 0, passes) : tk_read_streams(S, true, p, byte_count, ahead, passes)
  switch (streams) {
    case 2: return TK_STREAMS(2);
    case 4: return TK_STREAMS(4);
    case 8: return TK_STREAMS(8);
    default: return TK_STREAMS(1);
  }
#undef TK_STREAMS
}

// MARK: Moves

TK_INLINE void tk_move_words(
  const int inputs, uint8_t *out, const uint8_t *a, const uint8_t *b, uint32_t addend, ptrdiff_t byte_count) {
  const tk_vu32 fill = tk_words_fill(addend);
  const ptrdiff_t size = (ptrdiff_t)sizeof(tk_vu32), unroll = 4;
  ptrdiff_t i = 0;
  for (; i + unroll * size <= byte_count; i += unroll * size) {
    tk_vu32 v[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      v[j] = inputs == 0 ? fill : tk_words_load(a + i + j * size) + (inputs == 1 ? fill : tk_words_load(b + i + j * size));
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) tk_words_store(out + i + j * size, v[j]);
  }
  for (; i + 4 <= byte_count; i += 4) {
    tk_word_store(out + i, inputs == 0 ? addend : tk_load_u32(a + i) + (inputs == 1 ? addend : tk_load_u32(b + i)));
  }
}

static void probe_write(
  void *out, const void *a, const void *b, uint32_t addend, ptrdiff_t byte_count, ptrdiff_t passes) {
  for (ptrdiff_t pass = 0; pass < passes; pass++) {
    TK_NEXT_PASS();
    if (a == NULL) {
      tk_move_words(0, out, NULL, NULL, addend, byte_count);
    } else if (b == NULL) {
      tk_move_words(1, out, a, NULL, addend, byte_count);
    } else {
      tk_move_words(2, out, a, b, addend, byte_count);
    }
  }
}

// MARK: Arithmetic

/// Four cycles of latency and two units need eight chains; twelve and two operands fit the sixteen registers of AVX2.
enum { tk_probe_chains = 12 };

static ptrdiff_t probe_float(float *sum, float a, float b, ptrdiff_t turns) {
  const tk_vf factor = tk_vf_fill(a), addend = tk_vf_fill(b);
  tk_vf x[tk_probe_chains];
  for (int c = 0; c < tk_probe_chains; c++) x[c] = tk_vf_fill(0);
  for (ptrdiff_t turn = 0; turn < turns; turn++) {
#pragma clang loop unroll(full)
    for (int c = 0; c < tk_probe_chains; c++) {
      x[c] = tk_vf_multiply_add(x[c], factor, addend);
      // Without this the compiler sees that all chains are alike, and keeps one.
      __asm__ volatile("" : TK_IN_REGISTER(x[c]));
    }
  }
  float total = 0;
  for (int c = 0; c < tk_probe_chains; c++) total += tk_vf_sum(x[c]);
  *sum = total;
  return 2 * TK_LANES * tk_probe_chains * turns;
}
